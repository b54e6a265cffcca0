// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { reportStatus, reportText } from './doctor.js';

describe('The report of the doctor', () => {
  const good = { id: 'kernel', title: 'Linux kernel', status: 'ok', detail: '6.1.0', meaning: 'All runs on it' };
  const weak = { id: 'ksm', title: 'Merging', status: 'degraded', detail: 'on', meaning: 'Machines can spy', remedy: 'echo 2' };
  const absent = { ...weak, id: 'kvm', title: 'KVM', status: 'missing' };

  it('takes one line for what is well, and says what to do about the rest', () => {
    expect(reportText({ checks: [good, weak] }, 'table').split('\n')).to.deep.equal([
      'ok        Linux kernel: 6.1.0',
      'degraded  Merging: on',
      '          Machines can spy',
      '          Mend: echo 2',
    ]);
    expect(JSON.parse(reportText({ checks: [weak] }, 'json'))).to.deep.equal({ checks: [weak] });
    expect(reportText({ checks: [good, weak] }, 'name')).to.equal('kernel\nksm');
  });

  it('is a failure when something is missing, and none when all works with a loss', () => {
    expect([[], [good], [good, weak], [good, absent]].map((checks) => reportStatus({ checks }))).to.deep.equal([0, 0, 0, 1]);
  });
});
