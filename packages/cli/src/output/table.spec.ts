// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { age, formatTable, size } from './table.js';

describe('Tables', () => {
  it('align columns and show what is absent as a dash', () => {
    expect(
      formatTable(
        ['name', 'ip'],
        [
          ['web', undefined],
          ['database', '10.0.0.2'],
        ],
      ),
    ).to.equal('NAME      IP\nweb       -\ndatabase  10.0.0.2');
  });

  it('let no control character reach the terminal', () => {
    expect(formatTable(['name'], [['a\u001b[31mb']])).to.equal('NAME\na?[31mb');
  });

  it('say ages and sizes in the largest unit that fits', () => {
    const now = Date.parse('2026-01-02T00:00:00Z');
    expect([age('2026-01-01T23:59:30Z', now), age('2026-01-01T20:00:00Z', now), age('2025-12-01T00:00:00Z', now)]).to.deep.equal([
      '30s',
      '4h',
      '32d',
    ]);
    expect([size(512), size(1536), size(2 ** 30)]).to.deep.equal(['512 B', '1.5 KiB', '1 GiB']);
  });
});
