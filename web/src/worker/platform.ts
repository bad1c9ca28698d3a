import type { Core, CoreSink, CoreSource } from '../wasm/core.js';
import type { OpenOptions, SinkSpec, SourceSpec, WasmInfo } from './protocol.js';

export interface WrittenBytes {
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
}

/** An output being written: finished once, or discarded without a trace. */
export interface OpenedSink {
  readonly core: CoreSink;
  finish(): WrittenBytes;
  discard(): void;
}

export interface Picture {
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** What differs between Node and browsers on the host's side. */
export interface Platform {
  loadCore(options: OpenOptions): Promise<{ core: Core; info: WasmInfo }>;
  openSource(spec: SourceSpec): CoreSource;
  /** External data beside the model, by the name that stands in it; null where the user gave no such file. */
  openSibling(model: SourceSpec, name: string): CoreSource | null;
  openSink(spec: SinkSpec, name: string): OpenedSink;
  /** What the machine has, as far as the host tells. */
  memoryBytes(): number;
  /** Pictures that are neither JPEG nor PNG, where the host can read them (browsers: WebP, AVIF ...). */
  decodeOtherImage: ((bytes: Uint8Array, name: string) => Promise<Picture>) | null;
}
