// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ImageRepository } from './images/image.repository.js';
import { Installation } from './installation.service.js';
import { MachineRepository } from './machines/machine.repository.js';
import { NetworksService } from './networks/networks.service.js';
import { OperationsService } from './operations/operations.service.js';
import { PoolUse } from './pools/pool-use.service.js';
import { VolumeRepository } from './volumes/volume.repository.js';

/** Removes from the host what no stored resource owns; whole images and volumes are set aside. Takes no input; may be killed anywhere. */
@Injectable()
export class OrphansReconciler {
  constructor(
    private readonly installation: Installation,
    private readonly machines: MachineRepository,
    private readonly volumes: VolumeRepository,
    private readonly images: ImageRepository,
    private readonly networks: NetworksService,
    private readonly operations: OperationsService,
    private readonly pools: PoolUse,
  ) {}

  async reconcile(): Promise<void> {
    const { epoch } = await this.installation.beginCollect();
    const networks = await this.networks.releaseUnused();
    const [machines, volumes, images] = await Promise.all([this.machines.ids(), this.volumes.ids(), this.images.ids()]);
    // An image that is being deleted has no row any more; its file is its operation's matter until that ends. Asked after the rows: no
    // delete is then missed by both questions.
    const deleting = [...(await this.operations.openTargets())].filter((id) => id.startsWith('img-'));
    const owned = { epoch, machines, volumes, images: [...new Set([...images, ...deleting])], networks };
    await this.installation.collectGarbage({ ...owned, pools: await this.pools.startedRefs() });
  }
}
