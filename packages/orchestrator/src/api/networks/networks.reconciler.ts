// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import { LOG, type Log } from '../../common/log.js';
import { NetworksService } from './networks.service.js';

/**
 * Brings networks that machines use back to what is stored: the host may lose rules, bridge, DHCP and DNS at any time, and names of
 * machines that are gone must not be answered any more. Takes no input; may be killed anywhere.
 */
@Injectable()
export class NetworksReconciler {
  constructor(
    private readonly networks: NetworksService,
    @Inject(LOG) private readonly log: Log,
  ) {}

  async reconcile(): Promise<void> {
    for (const id of await this.networks.idsOnHost()) {
      try {
        await this.networks.mendOnHost(id);
      } catch (error) {
        this.log.warn({ err: error, network: id }, 'a network could not be reconciled; the next run tries again');
      }
    }
  }
}
