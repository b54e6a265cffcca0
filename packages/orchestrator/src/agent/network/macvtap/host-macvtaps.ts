// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../../common/api-error.js';
import type { LaunchMacvtap } from '../../../host-agent/host-agent.js';
import type { CommandRunner } from '../../runner/command-runner.js';
import { isThere, linkLabel } from '../host-link.js';
import { MacvtapLinks } from './macvtap-links.js';

interface Link {
  ifname: string;
  ifalias?: string;
  address?: string;
  link?: string;
  flags?: string[];
  linkinfo?: { info_kind?: string; info_data?: { mode?: string } };
}

/** Macvtap links of this host, made and removed by `ip`. */
export class HostMacvtaps extends MacvtapLinks {
  constructor(
    private readonly runner: CommandRunner,
    directory: string,
    parents: readonly string[],
  ) {
    super(directory, parents);
  }

  protected override async make(name: string, link: LaunchMacvtap, machineId: string): Promise<void> {
    const { parent, mode } = link.macvtap;
    const found = await this.find(name);
    if (found !== undefined) {
      if (isAs(found, link)) return this.raise(name, machineId);
      if (found.linkinfo?.info_kind !== 'macvtap') throw notOurs(name);
      await this.drop(name);
    }
    if ((await this.find(parent)) === undefined) {
      throw new ApiError('macvtap.parent_missing', {
        detail: `The host has no link "${parent}", on which the interface ${link.name} shall be.`,
        remedy: 'Make the link, or plug the card in, then start the machine again.',
      });
    }
    await this.runner.run('ip', ['link', 'add', 'link', parent, 'name', name, 'address', link.mac, 'type', 'macvtap', 'mode', mode]);
    await this.raise(name, machineId);
  }

  protected override async drop(name: string): Promise<void> {
    const found = await this.find(name);
    if (found?.linkinfo?.info_kind === 'macvtap') await this.runner.run('ip', ['link', 'delete', 'dev', name]);
  }

  private async raise(name: string, machineId: string): Promise<void> {
    await this.runner.run('ip', ['link', 'set', 'dev', name, 'alias', linkLabel(machineId), 'up']);
  }

  private async find(name: string): Promise<Link | undefined> {
    if (!isThere(name)) return undefined;
    const { status, stdout } = await this.runner.run('ip', ['-j', '-d', 'link', 'show', 'dev', name], { accept: [1] });
    if (status !== 0) return undefined;
    return (JSON.parse(stdout) as Link[]).find((link) => link.ifname === name);
  }
}

function isAs(found: Link, { mac, macvtap }: LaunchMacvtap): boolean {
  const kind = found.linkinfo;
  return kind?.info_kind === 'macvtap' && kind.info_data?.mode === macvtap.mode && found.link === macvtap.parent && found.address === mac;
}

function notOurs(name: string): ApiError {
  return new ApiError('host.command_failed', {
    detail: `The link ${name} is there already and is no macvtap.`,
    remedy: `If nothing uses it, remove it: ip link delete dev ${name}.`,
  });
}
