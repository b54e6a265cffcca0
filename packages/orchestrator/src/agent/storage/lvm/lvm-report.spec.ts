// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import * as fc from 'fast-check';
import { GROUP_FIELDS, parseGroup, parseVolumes, VOLUME_FIELDS } from './lvm-report.js';

const group = { vg_name: 'vg0', vg_size: '532676608', vg_free: '381681664', vg_extent_size: '4194304', vg_tags: 'a,flotilla.pool.poo-1' };
const foreign = {
  ...{ lv_name: 'foreign', lv_size: '8388608', lv_attr: '-wi-a-----', pool_lv: '', data_percent: '', metadata_percent: '' },
  ...{ lv_tags: '', lv_health_status: '' },
};
const pool = { ...foreign, lv_name: 'tp', lv_attr: 'twi-aotz--', data_percent: '12.50', metadata_percent: '10.94' };
const thin = { ...foreign, lv_name: 'vol-1', lv_attr: 'Vwi---tz--', pool_lv: 'tp', lv_tags: 'flotilla,x' };
const report = (kind: 'vg' | 'lv', rows: unknown) => JSON.stringify({ report: [{ [kind]: rows }] });
const volume = (more: object) => parseVolumes(report('lv', [{ ...foreign, ...more }]))[0];

describe('What LVM reports', () => {
  it('is a group', () => {
    expect(parseGroup(report('vg', [group]), 'vg0')).to.deep.equal({
      ...{ name: 'vg0', sizeBytes: 532_676_608, freeBytes: 381_681_664, extentBytes: 4_194_304 },
      tags: ['a', 'flotilla.pool.poo-1'],
    });
    expect(parseGroup(report('lv', [{ ...foreign, ...group }]), 'vg0')?.freeBytes).to.equal(381_681_664);
    expect(parseGroup(report('vg', [group]), 'vg')).to.equal(undefined);
    expect(parseGroup(report('vg', []), 'vg0')).to.equal(undefined);
  });

  it('is its volumes, whoever they belong to', () => {
    expect(parseVolumes(report('lv', [foreign, pool, thin]))).to.deep.equal([
      { name: 'foreign', sizeBytes: 8_388_608, role: 'other', tags: [], active: true, zeroes: false, health: 'well' },
      {
        ...{ name: 'tp', sizeBytes: 8_388_608, role: 'thin-pool', tags: [], active: true, zeroes: true, health: 'well' },
        ...{ dataPercent: 12.5, metadataPercent: 10.94 },
      },
      {
        name: 'vol-1',
        sizeBytes: 8_388_608,
        role: 'thin',
        pool: 'tp',
        tags: ['flotilla', 'x'],
        active: false,
        zeroes: true,
        health: 'well',
      },
    ]);
    expect(volume({ lv_attr: 'twi-aotzD-', lv_health_status: 'out_of_data' })).to.include({ health: 'full' });
    expect(volume({ lv_attr: 'twi-aotzM-', lv_health_status: 'metadata_read_only' })).to.include({ health: 'failed' });
    expect(volume({ lv_attr: 'owi-a-s---' })).to.include({ role: 'other', hasSnapshots: true });
    expect(volume({ lv_attr: 'Vwi-s-tz--' }), 'suspended').to.include({ health: 'failed', active: true });
  });

  it('is refused when it is not understood, and never taken for something else', () => {
    for (const wrong of ['', '[]', 'null', '{}', '{"report":{}}', report('lv', {}), report('lv', [null]), report('lv', ['x'])])
      expect(() => parseVolumes(wrong), wrong).to.throw(Error);
    for (const more of [{ lv_size: '8.00m' }, { lv_size: '-1' }, { lv_size: '99999999999999999999' }, { lv_size: 8 }, { lv_name: '' }])
      expect(() => volume(more), JSON.stringify(more)).to.throw(Error);
    for (const more of [{ lv_attr: '' }, { data_percent: '101' }, { data_percent: 'NaN' }, { lv_tags: [] }])
      expect(() => volume(more), JSON.stringify(more)).to.throw(Error);
    expect(() => parseGroup(report('vg', [{ ...group, vg_extent_size: '0' }]), 'vg0')).to.throw('vg_extent_size');
  });

  it('has fields by the names that it was asked for', () => {
    expect(GROUP_FIELDS.split(',').sort()).to.deep.equal(Object.keys(group).sort());
    expect(VOLUME_FIELDS.split(',').sort()).to.deep.equal(Object.keys({ ...group, ...foreign }).sort());
  });

  it('may be any text: what comes of it is sound, or an error', () => {
    const word = fc.oneof(fc.string(), fc.constantFrom('0', '8388608', '50.00', 'twi-aotz--', 'a,b'), fc.integer(), fc.constant(null));
    const row = fc.dictionary(fc.constantFrom(...Object.keys({ ...foreign, ...group })), word);
    const rows = fc.oneof(fc.array(row, { maxLength: 3 }), fc.jsonValue());
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({ report: fc.array(fc.dictionary(fc.constantFrom('lv', 'vg'), rows), { maxLength: 2 }) })
        .map((value) => JSON.stringify(value)),
    );
    const quiet = <T>(parse: () => T): T | undefined => {
      try {
        return parse();
      } catch (error) {
        expect(error).to.be.instanceOf(Error);
        return undefined;
      }
    };
    fc.assert(
      fc.property(text, (said) => {
        for (const one of quiet(() => parseVolumes(said)) ?? []) {
          expect(one.name).to.be.a('string').and.not.equal('');
          expect(Number.isSafeInteger(one.sizeBytes) && one.sizeBytes >= 0).to.equal(true);
          for (const percent of [one.dataPercent ?? 0, one.metadataPercent ?? 0]) expect(percent).to.be.within(0, 100);
        }
        const found = quiet(() => parseGroup(said, 'vg0'));
        if (found !== undefined) expect(found.extentBytes).to.be.greaterThan(0);
      }),
      { numRuns: 2000 },
    );
  });
});
