// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { toWorkerExit } from './native-mapper.js';

describe('The end of a worker', () => {
  it('names its signal or status, and says so when neither is known', () => {
    expect(toWorkerExit({ kind: 'worker-exited', signal: 9 })).to.deep.equal({ reason: 'worker-exited', detail: 'The worker process ended by signal SIGKILL.' });
    expect(toWorkerExit({ kind: 'worker-exited', signal: 31 }).detail).to.contain('SIGSYS').and.to.contain('sandbox');
    expect(toWorkerExit({ kind: 'worker-exited', signal: 60 }).detail).to.equal('The worker process ended by signal 60.');
    expect(toWorkerExit({ kind: 'worker-exited', exitStatus: 1 }).detail).to.equal('The worker process ended with status 1.');
    expect(toWorkerExit({ kind: 'worker-exited' }).detail).to.contain('how is not known');
  });
});
