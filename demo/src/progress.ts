import { bytesText, type Progress, type RunOptions } from 'bitwright';
import { clearMessages, say, showError } from './messages.js';
import { make } from './page.js';

const stages: Readonly<Record<string, string>> = {
  calibrate: 'Running your samples',
  quantize: 'Quantizing weights',
  convert: 'Rewriting the nodes',
  write: 'Writing the file',
  compare: 'Comparing with the float model',
  run: 'Running both models',
};

function progressText({ stage, done, total, etaMs }: Progress): string {
  const words = stages[stage] ?? stage;
  if (total <= 1) return words;
  const amount = stage === 'write' ? bytesText : String;
  const left = etaMs === undefined || etaMs < 1000 ? '' : `, about ${Math.ceil(etaMs / 1000)} s left`;
  return `${words}: ${amount(done)} of ${amount(total)}${left}`;
}

const cancelled = new DOMException('cancelled', 'AbortError');

/** Long work of a section, one at a time. While it runs its place shows a bar, what is done, and a button that cancels. */
export class Work {
  private readonly bar = make('progress');
  private readonly text = make('span');
  private readonly cancel = make('button', '', 'Cancel');
  private running: AbortController | undefined;

  /** @param refresh is called when work begins and when it has ended, to disable and enable what starts it */
  constructor(
    private readonly place: HTMLElement,
    private readonly refresh: () => void,
  ) {
    this.bar.ariaLabel = 'Progress';
    this.cancel.type = 'button';
    this.cancel.addEventListener('click', () => this.running?.abort(cancelled));
    place.replaceChildren(this.bar, this.text, this.cancel);
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  /** Ends the work without a word. */
  drop(): void {
    this.running?.abort(new DOMException('another model was opened', 'AbortError'));
  }

  /**
   * @param start the button that began it: the keyboard goes on there when the work has ended
   * @param show takes what was made; never called once the work was cancelled
   * @param discard lets go of what was made and is not shown
   */
  async run<Made>(
    start: HTMLElement,
    compute: (run: Required<RunOptions>) => Promise<Made>,
    show: (made: Made) => void,
    discard: (made: Made) => void,
  ): Promise<void> {
    if (this.running !== undefined) return;
    clearMessages();
    this.running = new AbortController();
    const { signal } = this.running;
    this.bar.removeAttribute('value');
    this.text.textContent = 'Starting';
    this.place.hidden = false;
    this.refresh();
    this.cancel.focus();
    try {
      const made = await compute({ signal, onProgress: (progress) => this.tell(progress) });
      if (signal.aborted) discard(made);
      signal.throwIfAborted();
      show(made);
    } catch (error) {
      if (signal.reason === cancelled) say('Cancelled. The model is still open.');
      else if (!signal.aborted) showError(error);
    } finally {
      this.running = undefined;
      this.place.hidden = true;
      this.refresh();
      if (document.activeElement === document.body || document.activeElement === this.cancel)
        start.focus({ preventScroll: true });
    }
  }

  private tell(progress: Progress): void {
    if (progress.total <= 1) this.bar.removeAttribute('value');
    else {
      this.bar.max = progress.total;
      this.bar.value = progress.done;
    }
    this.text.textContent = progressText(progress);
  }
}
