// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ConsolePlaces, READERS_OF_A_KEY } from './console-places.js';

describe('places of readers of consoles', () => {
  const fill = (places: ConsolePlaces, key: string, machine: string) =>
    Array.from({ length: READERS_OF_A_KEY + 1 }, () => places.take(key, machine)).filter((place) => place !== undefined);

  it('are few for one key on one machine, and its own', () => {
    const places = new ConsolePlaces();
    expect(fill(places, 'viewer', 'one')).to.have.length(READERS_OF_A_KEY);
    expect(places.take('viewer', 'two')).to.be.a('function');
    expect(places.take('admin', 'one')).to.be.a('function');
  });

  it('are free again once given back', () => {
    const places = new ConsolePlaces();
    for (const leave of fill(places, 'viewer', 'one')) leave();
    expect(fill(places, 'viewer', 'one')).to.have.length(READERS_OF_A_KEY);
  });

  it('are bounded for one key on all machines together', () => {
    const places = new ConsolePlaces();
    const taken = Array.from({ length: 400 }, (_one, index) => places.take('viewer', `machine-${index}`)).filter(
      (place) => place !== undefined,
    );
    expect(taken).to.have.length(256);
    expect(places.take('admin', 'machine-0')).to.be.a('function');
  });
});
