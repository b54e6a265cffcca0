// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { readConfig } from './config.js';

describe('the configuration', () => {
  it('listens on loopback alone unless it is told otherwise', () => {
    expect(readConfig({}).listen).to.deep.equal({ host: '127.0.0.1', port: 7070 });
    expect(readConfig({ FLOTILLA_LISTEN: '' }).listen.host).to.equal('127.0.0.1');
    expect(readConfig({ FLOTILLA_LISTEN: '[::]:80' }).listen).to.deep.equal({ host: '::', port: 80 });
  });
});
