/** The few things that every section does with the document. */

export function element<T extends Element>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

type Child = Node | string;

/** A new element: `make('b', 'big', 'text')`. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

/** Names and texts side by side. */
export function facts(rows: readonly (readonly [name: string, text: string])[]): HTMLDListElement {
  return make('dl', '', ...rows.flatMap(([name, text]) => [make('dt', '', name), make('dd', '', text)]));
}

export function card(value: string, label: string): HTMLDivElement {
  return make('div', 'card', make('b', '', value), make('span', '', label));
}

export interface Column<T> {
  readonly title: string;
  readonly kind?: 'number' | 'name';
  cell(row: T): Child;
}

/** A table in a box of its own, which scrolls where it is too wide. */
export function table<T>(caption: string, columns: readonly Column<T>[], rows: readonly T[]): HTMLDivElement {
  const head = make('tr', '', ...columns.map(({ title, kind }) => heading(title, kind)));
  const body = rows.map((row) => make('tr', '', ...columns.map((column) => make('td', column.kind ?? '', column.cell(row)))));
  const box = make(
    'div',
    'scroll',
    make('table', '', make('caption', 'hidden', caption), make('thead', '', head), make('tbody', '', ...body)),
  );
  // What scrolls can be reached by the keyboard.
  box.tabIndex = 0;
  box.role = 'region';
  box.ariaLabel = caption;
  return box;
}

function heading(title: string, kind: string | undefined): HTMLTableCellElement {
  const cell = make('th', kind ?? '', title);
  cell.scope = 'col';
  return cell;
}

export function options(select: HTMLSelectElement, rows: readonly (readonly [value: string, text: string])[]): void {
  select.replaceChildren(
    ...rows.map(([value, text]) => {
      const option = make('option', '', text);
      option.value = value;
      return option;
    }),
  );
}

export function acceptDrops(target: HTMLElement, take: (files: File[]) => void): void {
  target.addEventListener('dragover', (event) => {
    event.preventDefault();
    target.classList.add('over');
  });
  target.addEventListener('dragleave', () => {
    target.classList.remove('over');
  });
  target.addEventListener('drop', (event) => {
    event.preventDefault();
    target.classList.remove('over');
    take([...(event.dataTransfer?.files ?? [])]);
  });
}

/** Links to bytes that the page holds, until the next ones take their place. */
export class Downloads {
  private urls: string[] = [];

  clear(): void {
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.urls = [];
  }

  link(name: string, content: Uint8Array | string, type: string, isPrimary = false): HTMLAnchorElement {
    const url = URL.createObjectURL(new Blob([content as BlobPart], { type }));
    this.urls.push(url);
    const link = make('a', isPrimary ? 'button primary' : 'button', `Download ${name}`);
    link.href = url;
    link.download = name;
    return link;
  }
}
