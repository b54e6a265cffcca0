// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ownersOf } from './sockets.js';

const heading = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const row = (local: string, remote: string, state: string, uid: number): string =>
  `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 31337 1 0000000000000000 100 0 0 10 0`;
const table = (...rows: string[]): string => `${[heading, ...rows].join('\n')}\n`;

const none = '00000000:0000';
const none6 = '00000000000000000000000000000000:0000';
const v4 = (port: string): string => `0100007F:${port}`;
const mapped = (port: string): string => `0000000000000000FFFF00000100007F:${port}`;
const v6 = (port: string): string => `00000000000000000000000001000000:${port}`;
const server = { address: '127.0.0.1', port: 7070 };
const client = { address: '127.0.0.1', port: 0xc350 };
const owners = (...tables: string[]): number[] | undefined => {
  const found = ownersOf(server, client, tables);
  return found === undefined ? undefined : [...found].sort((a, b) => a - b);
};

describe('The owners of the other end of a connection', () => {
  const listening = row(v4('1B9E'), none, '0A', 1000);
  const accepted = row(v4('1B9E'), v4('C350'), '01', 1001);
  const ours = row(v4('C350'), v4('1B9E'), '01', 1002);

  it('are who accepted it and who listens there', () => {
    expect(owners(table(listening, ours, accepted), table())).to.deep.equal([1000, 1001]);
  });

  it('are who listens also before it is accepted, when it is shown as root’s', () => {
    expect(owners(table(listening, row(v4('1B9E'), v4('C350'), '01', 0)), table())).to.deep.equal([0, 1000]);
    expect(owners(table(listening, row(v4('1B9E'), v4('C350'), '03', 1000)), table())).to.deep.equal([1000]);
  });

  it('are who accepted it also when nobody listens any more', () => {
    expect(owners(table(ours, accepted), table())).to.deep.equal([1001]);
  });

  it('count whoever listens at every address, in the table of the connection', () => {
    expect(owners(table(row('00000000:1B9E', none, '0A', 7), accepted), table())).to.deep.equal([7, 1001]);
    const dual = table(row(`${'0'.repeat(32)}:1B9E`, none6, '0A', 8), row(mapped('1B9E'), mapped('C350'), '01', 0));
    expect(owners(table(), dual)).to.deep.equal([0, 8]);
  });

  it('leave out other addresses, other ports and the other family', () => {
    const others = [row('0200007F:1B9E', none, '0A', 3), row(v4('1B9F'), none, '0A', 4), row(v4('1B9E'), v4('C351'), '01', 5)];
    expect(owners(table(...others, listening, accepted), table(row(`${'0'.repeat(32)}:1B9E`, none6, '0A', 6)))).to.deep.equal([1000, 1001]);
  });

  it('are found for IPv6', () => {
    const tables = [table(), table(row(v6('1B9E'), none6, '0A', 9), row(v6('1B9E'), v6('C350'), '01', 9))];
    expect([...(ownersOf({ address: '::1', port: 7070 }, { address: '::1', port: 0xc350 }, tables) ?? [])]).to.deep.equal([9]);
  });

  it('are unknown when the other end is not on this host, or what is read is no table', () => {
    expect(owners(table(listening, ours), table())).to.equal(undefined);
    expect(owners('', 'heading\nnonsense\n')).to.equal(undefined);
    expect(owners(table(row(v4('1B9E'), v4('C350'), '06', 0)), table())).to.equal(undefined);
  });
});
