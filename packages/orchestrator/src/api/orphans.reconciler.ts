// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ImageRepository } from './images/image.repository.js';
import { Installation } from './installation.service.js';
import { MachineRepository } from './machines/machine.repository.js';
import { NetworksService } from './networks/networks.service.js';
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
  ) {}

  async reconcile(): Promise<void> {
    const { epoch } = await this.installation.beginCollect();
    const networks = await this.networks.releaseUnused();
    const [machines, volumes, images] = await Promise.all([this.machines.ids(), this.volumes.ids(), this.images.ids()]);
    await this.installation.collectGarbage({ epoch, machines, volumes, images, networks });
  }
}
