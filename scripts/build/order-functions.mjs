// node scripts/build/order-functions.mjs WASM-OPT MODULE
//
// Orders the functions of a wasm module so that each follows one that shares stretches of bytes with those just before it: what
// repeats is then near, and compresses better (the modules by 2 % with brotli). The code stays as it is; functions and calls
// are renumbered by wasm-opt, which sorts by the names given here.
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

const stretchLength = 5; // bytes compared at a time
const nRecent = 8; // functions that the next one should resemble
const mostHolders = 400; // a stretch in more functions than this tells nothing
const nCalledMost = 20; // these keep their low numbers, which calls write in one byte

const sectionIds = { custom: 0, import: 2, code: 10 };

/** Reads the module's binary format (WebAssembly core specification, chapter 5). */
class Reader {
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }
  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }
  skipName() {
    const length = this.number();
    this.at += length;
  }
  skipLimits() {
    const hasMost = (this.number() & 1) === 1;
    this.number();
    if (hasMost) this.number();
  }
}

function sectionsOf(bytes) {
  const reader = new Reader(bytes, 8);
  const sections = new Map();
  while (reader.at < bytes.length) {
    const id = reader.number();
    const length = reader.number();
    if (id !== sectionIds.custom) sections.set(id, reader.at);
    reader.at += length;
  }
  return sections;
}

function importedFunctions(bytes, start) {
  if (start === undefined) return 0;
  const reader = new Reader(bytes, start);
  const skipDescription = [
    () => reader.number(), // a function's type
    () => (reader.number(), reader.skipLimits()), // a table
    () => reader.skipLimits(), // a memory
    () => (reader.at += 2), // a global
    () => (reader.at++, reader.number()), // an exception's tag
  ];
  let nFunctions = 0;
  for (let left = reader.number(); left > 0; left--) {
    reader.skipName();
    reader.skipName();
    const kind = reader.number();
    skipDescription[kind]();
    if (kind === 0) nFunctions++;
  }
  return nFunctions;
}

function bodiesOf(bytes, start) {
  const reader = new Reader(bytes, start);
  return Array.from({ length: reader.number() }, () => {
    const length = reader.number();
    const body = bytes.subarray(reader.at, reader.at + length);
    reader.at += length;
    return body;
  });
}

function stretchesOf(body) {
  const stretches = new Set();
  for (let first = 0; first + stretchLength <= body.length; first++) {
    let hash = 2166136261; // FNV-1a
    for (let i = 0; i < stretchLength; i++) hash = Math.imul(hash ^ body[first + i], 16777619);
    stretches.add(hash >>> 0);
  }
  return stretches;
}

/** The functions in their new order: always the one that shares most, for its length, with the last few. */
function similarityOrder(bodies) {
  const stretches = bodies.map(stretchesOf);
  const holders = new Map();
  for (const [index, set] of stretches.entries()) {
    for (const stretch of set) {
      const list = holders.get(stretch);
      if (list === undefined) holders.set(stretch, [index]);
      else list.push(index);
    }
  }
  const shared = new Float64Array(bodies.length);
  const count = (index, sign) => {
    for (const stretch of stretches[index]) {
      const list = holders.get(stretch);
      if (list.length > 1 && list.length <= mostHolders) for (const other of list) shared[other] += sign / Math.sqrt(list.length);
    }
  };
  const order = [];
  const left = new Set(bodies.keys());
  while (left.size > 0) {
    let [next] = left;
    if (order.length >= nCalledMost) {
      let most = -1;
      for (const index of left) {
        const score = shared[index] / (stretches[index].size + 60) ** 0.65;
        if (score > most + 1e-9) [next, most] = [index, score]; // what additions left of nothing is no reason
      }
    }
    left.delete(next);
    order.push(next);
    count(next, 1);
    if (order.length > nRecent) count(order[order.length - 1 - nRecent], -1);
  }
  return order;
}

const encoded = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...encoded(Math.floor(value / 128))]);

/** A name section that names functions by their places. Imported ones cannot move and need no names. */
function nameSection(order, nImported) {
  const places = new Map(order.map((index, place) => [index, place]));
  const names = [...encoded(order.length)];
  for (let index = 0; index < order.length; index++) {
    const name = String(places.get(index)).padStart(8, '0');
    names.push(...encoded(nImported + index), name.length, ...Buffer.from(name));
  }
  const functionNames = [1, ...encoded(names.length), ...names];
  const content = [4, ...Buffer.from('name'), ...functionNames];
  return Buffer.from([sectionIds.custom, ...encoded(content.length), ...content]);
}

function orderFunctions(wasmOpt, path) {
  const bytes = readFileSync(path);
  const sections = sectionsOf(bytes);
  const order = similarityOrder(bodiesOf(bytes, sections.get(sectionIds.code)));
  const [named, ordered] = [`${path}.named`, `${path}.ordered`];
  try {
    writeFileSync(named, Buffer.concat([bytes, nameSection(order, importedFunctions(bytes, sections.get(sectionIds.import)))]));
    const likeTheLink = ['--all-features', '--optimize-level', '2', '--shrink-level', '2'];
    execFileSync(wasmOpt, [named, '-o', ordered, ...likeTheLink, '--reorder-functions-by-name', '--strip-debug'], { stdio: 'inherit' });
    renameSync(ordered, path);
  } finally {
    for (const left of [named, ordered]) rmSync(left, { force: true });
  }
}

const [wasmOpt, path] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: node scripts/build/order-functions.mjs WASM-OPT MODULE');
orderFunctions(wasmOpt, path);
