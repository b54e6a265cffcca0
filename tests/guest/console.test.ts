// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { useCloud } from './lib/suite.js';
import { inEachIsolation } from './lib/variants.js';

describe('A console', () => {
  const cloud = useCloud();

  inEachIsolation((isolation) => {
    afterEach(() => cloud().clear());

    it('gives a late reader the same bytes from the same offset', async () => {
      const guest = await cloud().boot('offsets', { isolation });
      await guest.sh('echo first');
      const offset = guest.console.offset;
      await guest.sh('echo second');
      const late = await guest.machine.console({ offset, write: false });
      expect(late.offset).to.equal(offset);
      expect(await late.expect('second')).not.to.contain('first');
      late.close();
    });

    it('has several readers and one writer', async () => {
      const guest = await cloud().boot('readers', { isolation });
      const reader = await guest.machine.console({ write: false });
      const refused = await guest.machine.console().then(
        () => undefined,
        (error: { code: string }) => error.code,
      );
      expect(refused).to.equal('console.writer_taken');
      await guest.sh('echo seen by all');
      await reader.expect('seen by all');
      guest.close();
      reader.close();
    });
  });
});
