import { drawDensity } from './chart.js';

const n = 64;

/** A density that is drawn with the pointer, or by arrow keys: left and right choose a bin, up and down change its height. */
export class Sketch {
  private heights: number[] = Array.from({ length: n }, (_, i) => (i < n / 2 ? (i % 32) / 40 : (n - i) / 64));
  private chosen = n / 2;
  private last: number | undefined;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly changed: () => void,
  ) {
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = undefined;
      this.paint(event);
    });
    canvas.addEventListener('pointermove', (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) this.paint(event);
    });
    canvas.addEventListener('keydown', (event) => {
      this.press(event);
    });
    this.tell();
  }

  get density(): readonly number[] {
    // A density needs something above 0.
    return this.heights.some((height) => height > 0) ? this.heights : this.heights.map(() => 1);
  }

  draw(): void {
    drawDensity(this.canvas, this.heights, this.chosen);
  }

  private paint(event: PointerEvent): void {
    const { width, height } = this.canvas.getBoundingClientRect();
    const bin = Math.min(n - 1, Math.max(0, Math.floor((event.offsetX / width) * n)));
    const value = Math.min(1, Math.max(0, 1 - event.offsetY / (height - 18)));
    // A fast pointer leaves out bins: those between take the same height.
    const from = this.last ?? bin;
    for (let i = Math.min(from, bin); i <= Math.max(from, bin); ++i) this.heights[i] = value;
    this.last = bin;
    this.chosen = bin;
    this.after();
  }

  private press(event: KeyboardEvent): void {
    const height = this.heights[this.chosen] ?? 0;
    if (event.key === 'ArrowLeft') this.chosen = Math.max(0, this.chosen - 1);
    else if (event.key === 'ArrowRight') this.chosen = Math.min(n - 1, this.chosen + 1);
    else if (event.key === 'ArrowUp') this.heights[this.chosen] = Math.min(1, height + 0.05);
    else if (event.key === 'ArrowDown') this.heights[this.chosen] = Math.max(0, height - 0.05);
    else return;
    event.preventDefault();
    this.after();
  }

  private after(): void {
    this.draw();
    this.tell();
    this.changed();
  }

  private tell(): void {
    const height = this.heights[this.chosen] ?? 0;
    this.canvas.ariaValueNow = height.toFixed(2);
    this.canvas.ariaValueText = `bin ${this.chosen + 1} of ${n}: height ${height.toFixed(2)}`;
  }
}
