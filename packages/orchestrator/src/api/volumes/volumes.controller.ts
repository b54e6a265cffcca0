// SPDX-License-Identifier: Apache-2.0
import { Body, Controller, Get, Param, Patch, Query } from '@nestjs/common';
import { NamedQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { UpdateVolume, VolumeDto } from './dto/volume.dto.js';
import { VolumesService } from './volumes.service.js';

@Controller('v1/volumes')
export class VolumesController {
  constructor(private readonly volumes: VolumesService) {}

  @Get()
  @Route({
    summary: 'List volumes',
    permission: 'volumes:read',
    query: NamedQuery,
    answers: { 200: { type: VolumeDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: NamedQuery): Promise<Page<VolumeDto>> {
    return this.volumes.list(query);
  }

  @Get(':volume')
  @Route({
    summary: 'Show a volume',
    permission: 'volumes:read',
    params: { volume: 'Id of the volume.' },
    answers: { 200: { type: VolumeDto, description: 'The volume.' } },
    errors: ['volume.not_found'],
  })
  get(@Param('volume') volume: string): Promise<VolumeDto> {
    return this.volumes.get(volume);
  }

  @Patch(':volume')
  @Route({
    summary: 'Make a volume larger, also under a running machine',
    permission: 'machines:write',
    params: { volume: 'Id of the volume.' },
    body: UpdateVolume,
    answers: { 200: { type: VolumeDto, description: 'The volume as it is now.' } },
    errors: [
      'volume.not_found',
      'volume.locked',
      'spec.disk_invalid',
      'pool.full',
      'pool.not_started',
      'pool.unavailable',
      'pool.overcommitted',
      'pool.unsupported',
      'file.missing',
      'disk.size',
      'image.corrupt',
      'image.backing',
      'worker.busy',
      'worker.failed',
      'machine.stuck',
      'host.unavailable',
    ],
  })
  update(@Param('volume') volume: string, @Body() body: UpdateVolume): Promise<VolumeDto> {
    return this.volumes.grow(volume, body.sizeMiB);
  }
}
