// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ApiError } from '../common/api-error.js';
import { InstallationMark } from './installation-mark.js';

describe('The mark of an installation', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'flotilla-mark-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** One claim, as a process of its own would make it. */
  const claim = (installation: string, { knowsNothing = false, adopt = false, holdsData = false } = {}): Promise<string> =>
    new InstallationMark(directory)
      .claim({ installation, knowsNothing, adopt }, () => Promise.resolve(holdsData))
      .then(() => 'taken', codeOf);
  const needs = (installation: string): Promise<string> =>
    new InstallationMark(directory).require(installation).then(() => 'taken', codeOf);

  it('is put on a new directory, and lets nobody else have it', async () => {
    expect(await needs('ins-a')).to.equal('host.data_foreign');
    expect(await claim('ins-a', { knowsNothing: true })).to.equal('taken');
    expect([await claim('ins-a'), await needs('ins-a')]).to.deep.equal(['taken', 'taken']);
    expect([await claim('ins-b'), await needs('ins-b')]).to.deep.equal(['host.data_foreign', 'host.data_foreign']);
    expect(readdirSync(directory)).to.deep.equal(['installation']);
  });

  it('is changed by who means to adopt the directory', async () => {
    await claim('ins-a');
    expect(await claim('ins-b', { adopt: true })).to.equal('taken');
    expect([await needs('ins-b'), await needs('ins-a')]).to.deep.equal(['taken', 'host.data_foreign']);
  });

  it('that is missing gives what is there to no database that knows nothing', async () => {
    expect(await claim('ins-a', { knowsNothing: true, holdsData: true })).to.equal('host.data_foreign');
    expect(await claim('ins-a', { knowsNothing: true, holdsData: true, adopt: true })).to.equal('taken');
    rmSync(join(directory, 'installation'));
    expect(await claim('ins-b', { holdsData: true }), 'a database from before there were marks').to.equal('taken');
  });
});

function codeOf(error: unknown): string {
  return error instanceof ApiError ? error.code : String(error);
}
