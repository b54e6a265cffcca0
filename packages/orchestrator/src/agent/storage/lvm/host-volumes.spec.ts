// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { pino } from 'pino';
import { CommandRunner, type CommandOptions, type CommandResult } from '../../runner/command-runner.js';
import { HostVolumes } from './host-volumes.js';
import type { LvmRefused } from './logical-volumes.js';

const refusal = (attempt: Promise<unknown>) =>
  attempt.then(
    () => undefined,
    (error: unknown) => [(error as LvmRefused).why, (error as LvmRefused).said],
  );
const vg = { vg_name: 'vg0', vg_size: '100', vg_free: '50', vg_extent_size: '10', vg_tags: '' };

describe('Logical volumes of the host, by programs', () => {
  let ran: string[][];
  let answers: Partial<CommandResult>[];
  const volumes = () => {
    const runner = {
      run: (program: string, args: string[], { endBy }: CommandOptions) => {
        ran.push([program, ...args]);
        expect(endBy, 'in the middle of a change SIGKILL would leave devices suspended').to.equal('SIGTERM');
        return Promise.resolve({ status: 0, stdout: '', stderr: '', ...answers.shift() });
      },
    };
    return new HostVolumes(runner as never);
  };
  beforeEach(() => {
    ran = [];
    answers = [];
  });

  it('are looked at, the group and what is in it, once for all that ask at a time', async () => {
    answers = [{ stdout: JSON.stringify({ report: [{ lv: [] }] }) }, { stdout: JSON.stringify({ report: [{ vg: [vg] }] }) }];
    const of = volumes();
    const seen = { name: 'vg0', sizeBytes: 100, freeBytes: 50, extentBytes: 10, tags: [], volumes: [] };
    expect(await Promise.all([of.look('vg0'), of.look('vg0')])).to.deep.equal([seen, seen]);
    expect(await of.look('vg0'), 'at once after it').to.equal(await of.look('vg0'));
    const how = ['--reportformat', 'json', '--units', 'b', '--nosuffix', '-o'];
    const empty = [
      ['lvs', ...how, 'vg0'],
      ['vgs', ...how, 'vg0'],
    ];
    expect(ran.map((args) => [...args.slice(0, 7), args.at(-1)])).to.deep.equal(empty);
    await of.remove('vg0', 'vol-1');
    const volume = { lv_name: 'a', lv_size: '10', lv_attr: '-wi-a-----' };
    answers = [{ stdout: JSON.stringify({ report: [{ lv: [{ ...vg, ...volume }] }] }) }];
    expect((await of.look('vg0')).volumes, 'anew after a change').to.have.length(1);
    expect(ran.length, 'by one program').to.equal(4);
  });

  it('are made, tagged, activated, enlarged and removed by name, as argument vectors', async () => {
    const of = volumes();
    await of.create({ group: 'vg0', name: 'vol-1', sizeBytes: 4096, tags: ['flotilla', 'b'], thinPool: 'tp' });
    await of.create({ group: 'vg0', name: 'vol-2', sizeBytes: 4096, tags: [] });
    await of.tag({ group: 'vg0', volume: 'vol-1' }, { add: ['x'], remove: ['y', 'z'] });
    await of.tag({ group: 'vg0' }, { remove: ['y'] });
    await of.activate('vg0', ['vol-1', 'vol-2']);
    await of.deactivate('vg0', ['vol-1']);
    await of.extend('vg0', 'vol-1', 8192);
    await of.remove('vg0', 'vol-1');
    expect(ran.map((args) => args.join(' '))).to.deep.equal([
      'lvcreate -y -Wn --thinpool tp -V 4096b --addtag flotilla --addtag b -n vol-1 vg0',
      'lvcreate -y -Wn -Zn -L 4096b -n vol-2 vg0',
      'lvchange --addtag x --deltag y --deltag z vg0/vol-1',
      'vgchange --deltag y vg0',
      'lvchange -ay vg0/vol-1 vg0/vol-2',
      'lvchange -an vg0/vol-1',
      'lvextend -L 8192b vg0/vol-1',
      'lvremove -f -y vg0/vol-1',
    ]);
  });

  it('have a device by their name, and no other one that is there', async () => {
    const at = (found: string | undefined) => new HostVolumes(undefined as never, undefined, () => found);
    for (const found of ['vg0-vol--1', undefined]) expect(at(found).device('vg0', 'vol-1')).to.equal('/dev/vg0/vol-1');
    for (const found of ['vg0-vol--2', 'vg0-vol-1', 'no block device'])
      expect((await refusal(Promise.resolve().then(() => at(found).device('vg0', 'vol-1'))))?.[0]).to.equal('misled');
  });

  it('say why not, in the words of the program', async () => {
    for (const [stderr, why, said] of [
      ['  Volume group "vg0" not found\n  Cannot process volume group vg0\n', 'no-group', 'Volume group "vg0" not found'],
      ['  Volume group "vg0" has insufficient free space (86 extents): 5000 required.\n', 'full', undefined],
      ['  Insufficient suitable allocatable extents for logical volume vol-1: 5 more required\n', 'full', undefined],
      ['  Free space in pool vg0/tp is above threshold, new volumes are not allowed.\n', 'full', undefined],
      ['File descriptor 9 leaked.\n  WARNING: x in use.\n  Logical volume vg0/vol-1 in use.\n', 'busy', 'Logical volume vg0/vol-1 in use'],
      ['  WARNING: a group not found\n  Failed to find logical volume "vg0/x"\n', 'refused', 'Failed to find logical volume "vg0/x"'],
      ['', 'refused', 'lvremove ended with status 5'],
    ] as const) {
      answers = [{ status: 5, stderr }];
      const found = await refusal(volumes().remove('vg0', 'vol-1'));
      expect(found?.[0], stderr).to.equal(why);
      if (said !== undefined) expect(found?.[1]).to.equal(said);
    }
    answers = [{ stdout: '{"report":[]}' }, { stdout: '{"report":[]}' }];
    expect((await refusal(volumes().look('vg0')))?.[0]).to.equal('no-group');
    answers = [{ stdout: 'no JSON' }];
    expect((await refusal(volumes().look('vg0')))?.[0]).to.equal('refused');
  });

  it('wait for no program without a bound, and begin none beside one that does not end', async () => {
    const runner = new CommandRunner(pino({ level: 'silent' }));
    let started = 0;
    const ends: (() => void)[] = [];
    const hanging = Object.assign(Object.create(runner) as CommandRunner, {
      run: (_program: string, _args: string[], options: CommandOptions) => {
        started += 1;
        return runner.run('tail', ['-f', '/dev/null'], {
          ...options,
          timeoutMilliseconds: 100,
          // It takes no notice of SIGTERM, as a program of LVM that has begun a change.
          onLate: () => options.onLate?.(new Promise((gone) => ends.push(gone))),
        });
      },
    });
    const of = new HostVolumes(hanging);
    const both = await Promise.all(['vol-1', 'vol-2'].map((name) => refusal(of.remove('vg0', name))));
    expect(both.map((one) => one?.[0])).to.deep.equal(['no-answer', 'no-answer']);
    const [one, other] = ends;
    for (const end of [undefined, one]) {
      end?.();
      await new Promise(setImmediate);
      expect((await refusal(of.look('vg0')))?.[1])
        .to.contain('lvremove')
        .and.to.contain('has not ended yet');
      expect(started, 'nothing more was begun in that group').to.equal(2);
    }
    expect((await refusal(of.remove('vg1', 'vol-1')))?.[0]).to.equal('no-answer');
    expect(started, 'other groups are not affected').to.equal(3);
    other?.();
    await new Promise(setImmediate);
    expect((await refusal(of.remove('vg0', 'vol-1')))?.[0]).to.equal('no-answer');
    expect(started, 'and it is tried again when both are gone').to.equal(4);
  });

  it('say which program is missing', async () => {
    const runner = new CommandRunner(pino({ level: 'silent' }));
    const lacking = Object.assign(Object.create(runner) as CommandRunner, {
      run: (_program: string, args: string[], options: CommandOptions) => runner.run('flotilla-no-such-program', args, options),
    });
    expect(await refusal(new HostVolumes(lacking).look('vg0'))).to.deep.equal(['missing-program', 'the program lvs is not installed']);
  });
});
