// SPDX-License-Identifier: Apache-2.0
import type { CommandControl } from '../../../host-agent/host-agent.js';
import { type BackingFile, type DeviceContent, FileTools, type NamedBacking, type SeedFile } from '../../files/file-tools.js';
import { native } from './native-errors.js';
import type { NativeModule } from './native-module.js';

/** File work by the core: reflinks where the file system can, keeps holes, runs beside the event loop. */
export class NativeFileTools extends FileTools {
  override readonly native = true;

  constructor(private readonly core: NativeModule) {
    super();
  }

  override async copy(source: string, target: string, options: CommandControl & { sizeBytes?: number }): Promise<void> {
    await native(() => this.core.copyFile({ source, target, ...options }));
  }

  override async createQcow2(target: string, options: { sizeBytes: number; backing?: NamedBacking }): Promise<void> {
    await native(() => this.core.createQcow2({ target, ...options }));
  }

  override growQcow2(path: string, options: { sizeBytes: number; backing: BackingFile[] }): Promise<number> {
    return native(() => this.core.growQcow2({ path, ...options }));
  }

  override fill(content: DeviceContent, control: CommandControl): Promise<void> {
    return native(() => this.core.fillDevice({ ...content, ...control }));
  }

  override createSeedDisk(target: string, files: readonly SeedFile[]): Promise<void> {
    return native(() => this.core.createSeedDisk({ target, files }));
  }

  override hash(path: string, control: CommandControl): Promise<string> {
    return native(() => this.core.hashFile({ path, ...control }));
  }
}
