import { errorMeanings, QuantError } from 'bitwright';
import { element, make } from './page.js';

const status = element('status', HTMLParagraphElement);
const error = element('error', HTMLDivElement);

/** What went wrong, what its code means, and (in the message itself) what to do about it. */
export function showError(reason: unknown): void {
  const close = make('button', 'close', '×');
  close.type = 'button';
  close.ariaLabel = 'Close this message';
  close.addEventListener('click', clearMessages);
  if (reason instanceof QuantError)
    error.replaceChildren(
      make('p', '', make('b', '', reason.code), `: ${reason.message}`),
      make('p', 'dim', errorMeanings[reason.code]),
      close,
    );
  else error.replaceChildren(make('p', '', reason instanceof Error ? reason.message : String(reason)), close);
  error.hidden = false;
}

/** Long enough to be read, also by a screen reader. */
const shownMs = 10_000;
let timer: ReturnType<typeof setTimeout> | undefined;

export function say(text: string): void {
  status.textContent = text;
  clearTimeout(timer);
  if (text !== '') timer = setTimeout(() => (status.textContent = ''), shownMs);
}

export function clearMessages(): void {
  error.hidden = true;
  say('');
}
