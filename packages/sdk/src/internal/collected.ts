// SPDX-License-Identifier: Apache-2.0

/** Bytes of a stream as the UTF-8 text that they are, from which what follows a match can be given back. */
export class Collected {
  text = '';
  readonly #decoder = lossless();
  readonly #chunks: { readonly bytes: Uint8Array; readonly textEnd: number }[] = [];

  push(bytes: Uint8Array): void {
    this.text += this.#decoder.decode(bytes, { stream: true });
    this.#chunks.push({ bytes, textEnd: this.text.length });
  }

  get bytes(): Uint8Array[] {
    return this.#chunks.map(({ bytes }) => bytes);
  }

  /** Where the first match ends in the text. */
  endOf(pattern: string | RegExp): number | undefined {
    if (typeof pattern === 'string') {
      const start = this.text.indexOf(pattern);
      return start < 0 ? undefined : start + pattern.length;
    }
    // A global or sticky expression goes on where its last match was, in some other text.
    const match = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).exec(this.text);
    return match === null ? undefined : match.index + match[0].length;
  }

  /** The bytes behind the first `end` characters. */
  after(end: number): Uint8Array[] {
    const decoder = lossless();
    let length = 0;
    for (const [index, { bytes, textEnd }] of this.#chunks.entries()) {
      if (textEnd < end) {
        decoder.decode(bytes, { stream: true });
        length = textEnd;
        continue;
      }
      let at = 0;
      for (; length < end && at < bytes.length; at += 1) length += decoder.decode(bytes.subarray(at, at + 1), { stream: true }).length;
      return [bytes.subarray(at), ...this.bytes.slice(index + 1)].filter((rest) => rest.length > 0);
    }
    return [];
  }
}

/** One that keeps a byte order mark. */
function lossless(): TextDecoder {
  return new TextDecoder('utf-8', { ignoreBOM: true });
}
