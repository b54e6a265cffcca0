// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { dataDirectory } from './context.js';

describe('The data directory', () => {
  const { getuid } = process;
  const before = { ...process.env };
  const of = (uid: number, environment: Record<string, string>): string => {
    process.getuid = () => uid;
    for (const name of ['FLOTILLA_DATA_DIR', 'XDG_DATA_HOME']) delete process.env[name];
    Object.assign(process.env, environment);
    return dataDirectory();
  };
  afterEach(() => {
    if (getuid !== undefined) process.getuid = getuid;
    process.env = { ...before };
  });

  it('is the one that was chosen, else the system’s for root and a folder of their own for others', () => {
    expect(of(0, { FLOTILLA_DATA_DIR: '/chosen' })).to.equal('/chosen');
    expect(of(0, {})).to.equal('/var/lib/flotilla');
    expect(of(1000, { XDG_DATA_HOME: '/home/anne/data' })).to.equal('/home/anne/data/flotilla');
    expect(of(1000, { HOME: '/home/anne' })).to.equal('/home/anne/.local/share/flotilla');
  });
});
