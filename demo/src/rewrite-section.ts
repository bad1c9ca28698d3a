import { bytesText, convert, type ConvertResult, dequantize, type Model, type QuantFormat } from 'bitwright';
import { model, onModel, setModel } from './engine.js';
import { say } from './messages.js';
import { Downloads, element, make } from './page.js';
import { Work } from './progress.js';

const section = element('rewrite', HTMLElement);
const shown = element('rewritten', HTMLDivElement);
const buttons = [...section.querySelectorAll<HTMLButtonElement>('button[data-form]')];
const downloads = new Downloads();
const work = new Work(element('rewrite-progress', HTMLDivElement), () => {
  for (const button of buttons) button.disabled = work.isRunning;
});

let made: ConvertResult | undefined;

/** Lets go of what was made; its model lives on where the page works on it now. */
function forget(): void {
  downloads.clear();
  shown.replaceChildren();
  if (made !== undefined && made.model !== model()) made.dispose();
  made = undefined;
}

function showMade(result: ConvertResult, { info }: Model): void {
  const name = result.model.info.fileName;
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

async function rewrite(start: HTMLButtonElement): Promise<void> {
  const opened = model();
  if (opened === undefined) return;
  const form = start.dataset['form'] as 'float' | QuantFormat;
  forget();
  await work.run(
    start,
    (options) => (form === 'float' ? dequantize(opened, {}, options) : convert(opened, { format: form }, options)),
    (result) => {
      made = result;
      showMade(result, opened);
    },
    (result) => result.dispose(),
  );
}

export function startRewriteSection(): void {
  for (const button of buttons) button.addEventListener('click', () => void rewrite(button));
  onModel(({ info }) => {
    work.drop();
    forget();
    section.hidden = !info.isQuantized;
  });
}
