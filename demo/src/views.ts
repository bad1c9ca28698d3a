import { element } from './page.js';

const views = ['quantize', 'lab'] as const;
export type View = (typeof views)[number];
const listeners: ((view: View) => void)[] = [];

/** The address says what is shown: `#/lab`, else quantizing. */
export function view(): View {
  return views.find((name) => location.hash === `#/${name}`) ?? 'quantize';
}

export function onView(listener: (view: View) => void): void {
  listeners.push(listener);
}

function show(): void {
  const now = view();
  for (const name of views) {
    element(`view-${name}`, HTMLDivElement).hidden = name !== now;
    const link = element(`to-${name}`, HTMLAnchorElement);
    if (name === now) link.ariaCurrent = 'page';
    else link.removeAttribute('aria-current');
  }
  for (const listener of listeners) listener(now);
}

export function startViews(): void {
  addEventListener('hashchange', show);
  show();
}
