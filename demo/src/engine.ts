import { openToolkit, type Model, type Toolkit } from 'bitwright';
import { element } from './page.js';

let opened: Promise<Toolkit> | undefined;
let current: Model | undefined;
const listeners: ((model: Model) => void)[] = [];

/** The engine, started in its worker when it is first needed. */
export function toolkit(): Promise<Toolkit> {
  opened ??= openToolkit().then((toolkit) => {
    const { version, variant, threads, reason } = toolkit.info;
    element('engine', HTMLParagraphElement).textContent =
      `Engine ${version}: ${variant}, ${threads} thread${threads === 1 ? '' : 's'} (${reason})`;
    return toolkit;
  });
  return opened;
}

/** The model that every section works on. */
export function model(): Model | undefined {
  return current;
}

export function setModel(model: Model): void {
  current?.dispose();
  current = model;
  for (const listener of listeners) listener(model);
}

export function onModel(listener: (model: Model) => void): void {
  listeners.push(listener);
}
