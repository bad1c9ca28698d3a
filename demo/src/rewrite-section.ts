import { bytesText, convert, type ConvertResult, dequantize, type Model, type QuantFormat, rewrittenName } from 'bitwright';
import { model, onModel, setModel } from './engine.js';
import { clearMessages, say, showError } from './messages.js';
import { Downloads, element, make } from './page.js';

const section = element('rewrite', HTMLElement);
const shown = element('rewritten', HTMLDivElement);
const buttons = [...section.querySelectorAll<HTMLButtonElement>('button[data-form]')];
const downloads = new Downloads();

let made: ConvertResult | undefined;

/** Lets go of what was made; its model lives on where the page works on it now. */
function forget(): void {
  downloads.clear();
  shown.replaceChildren();
  if (made !== undefined && made.model !== model()) made.dispose();
  made = undefined;
}

function showMade(result: ConvertResult, from: Model, form: 'float' | QuantFormat): void {
  const { info } = from;
  const name = rewrittenName(info.fileName, form);
  const before = bytesText(info.bytes + info.externalBytes);
  const after = bytesText(result.sizeBytes + (result.external?.sizeBytes ?? 0));
  const binary = 'application/octet-stream';
  const goOn = make('button', '', 'Go on with this model');
  goOn.type = 'button';
  goOn.addEventListener('click', () => {
    setModel(result.model);
    say(`${name} is open.`);
  });
  shown.replaceChildren(
    make('p', '', `${name}: ${before} → ${after}`),
    make('ul', 'dim', ...result.messages.map((message) => make('li', '', message))),
    make(
      'p',
      'actions',
      downloads.link(name, result.bytes, binary, true),
      ...(result.external === null ? [] : [downloads.link(result.external.name, result.external.bytes, binary, true)]),
      goOn,
    ),
  );
}

async function rewrite(form: 'float' | QuantFormat): Promise<void> {
  const opened = model();
  if (opened === undefined) return;
  clearMessages();
  forget();
  for (const button of buttons) button.disabled = true;
  shown.replaceChildren(make('p', 'dim', 'Writing the file'));
  try {
    const result = form === 'float' ? await dequantize(opened) : await convert(opened, { format: form });
    if (model() !== opened) {
      result.dispose();
      return;
    }
    made = result;
    showMade(result, opened, form);
  } catch (error) {
    if (model() !== opened) return;
    shown.replaceChildren();
    showError(error);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

export function startRewriteSection(): void {
  for (const button of buttons)
    button.addEventListener('click', () => void rewrite(button.dataset['form'] as 'float' | QuantFormat));
  onModel(({ info }) => {
    forget();
    section.hidden = !info.isQuantized;
  });
}
