// SPDX-License-Identifier: Apache-2.0
/** A JSON Schema (2020-12) as OpenAPI 3.1 uses it; `$class` stands for a reference until the document is made. */
export type JsonSchema = { [key: string]: unknown; $class?: () => DtoClass };

/** A class whose properties carry field decorators. */
export type DtoClass = abstract new (...args: never[]) => object;

/** What a field decorator notes about a property. */
export interface PropertyNote {
  name: string;
  required: boolean;
  schema: JsonSchema;
}

const notes = new WeakMap<object, PropertyNote[]>();

/** Called by the field decorators. */
export function noteProperty(prototype: object, note: PropertyNote): void {
  const own = notes.get(prototype);
  if (own === undefined) notes.set(prototype, [note]);
  else own.push(note);
}

/** The noted properties of a class, those of its base classes first. */
export function propertiesOf(type: DtoClass): PropertyNote[] {
  const all = new Map<string, PropertyNote>();
  const chain: object[] = [];
  for (
    let at: object | null = type.prototype as object;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    chain.unshift(at);
  }
  for (const prototype of chain) for (const note of notes.get(prototype) ?? []) all.set(note.name, note);
  return [...all.values()];
}
