// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { toWorkerExit } from './native-mapper.js';

describe('The end of a worker', () => {
  it('names its signal or status, and says so when neither is known', () => {
    expect(toWorkerExit({ signal: 9 })).to.deep.equal({ reason: 'worker-exited', detail: 'The worker process ended by signal SIGKILL.' });
    expect(toWorkerExit({ signal: 31 }).detail)
      .to.contain('SIGSYS')
      .and.to.contain('sandbox');
    expect(toWorkerExit({ signal: 60 }).detail).to.equal('The worker process ended by signal 60.');
    expect(toWorkerExit({ exitStatus: 1 }).detail).to.equal('The worker process ended with status 1.');
    expect(toWorkerExit({}).detail).to.contain('by a signal; which one is not known');
  });
});
