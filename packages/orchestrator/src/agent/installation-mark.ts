// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from 'node:fs/promises';
import { ApiError } from '../common/api-error.js';
import type { ClaimCommand } from '../host-agent/host-agent.js';
import { makeWhole } from './files/durable.js';
import { systemCode } from '../common/system-code.js';

/**
 * Which installation, that is which database, what the host keeps belongs to: the file `installation` in the host's data
 * directory. Without it a start with another database would take everything there for rubbish.
 */
export class InstallationMark {
  private readonly path: string;

  constructor(private readonly directory: string) {
    this.path = `${directory}/installation`;
  }

  /**
   * Puts the mark where there is none; one of another installation stays unless it is to be adopted. A directory without a mark
   * that `holdsData` goes to no database that knows nothing.
   */
  async claim(command: ClaimCommand, holdsData: () => Promise<boolean>): Promise<void> {
    const found = await this.read();
    if (found === command.installation) return;
    if (!command.adopt && found !== undefined) throw this.foreign(ofAnother(found, command.installation));
    if (!command.adopt && command.knowsNothing && (await holdsData()))
      throw this.foreign('has images or volumes and names no installation; the database knows none of them.');
    await this.write(command.installation);
  }

  /** Refuses a command that only the installation may give to which everything here belongs. */
  async require(installation: string): Promise<void> {
    const found = await this.read();
    if (found !== installation) throw this.foreign(ofAnother(found, installation));
  }

  private async read(): Promise<string | undefined> {
    try {
      return (await readFile(this.path, 'utf8')).trim();
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  private async write(installation: string): Promise<void> {
    await makeWhole(this.path, (temporary) => writeFile(temporary, `${installation}\n`, { mode: 0o600 }));
  }

  private foreign(what: string): ApiError {
    return new ApiError('host.data_foreign', {
      detail: `The data directory ${this.directory} ${what}`,
      remedy:
        'Start with the database and the data directory that belong together (--database-url, --data-dir). To take the data directory ' +
        'over on purpose, start once with --adopt-data: machines there that the database does not know are ended, and images and ' +
        'volumes that it does not know are set aside, not deleted.',
    });
  }
}

function ofAnother(found: string | undefined, installation: string): string {
  return `belongs to ${found === undefined ? 'no installation yet' : `installation ${found}`}; the database is that of installation ${installation}.`;
}
