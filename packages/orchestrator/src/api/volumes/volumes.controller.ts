// SPDX-License-Identifier: Apache-2.0
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Req } from '@nestjs/common';
import type { Request } from 'express';
import { LabelledQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { OperationDto } from '../operations/dto/operation.dto.js';
import type { Operation } from '../operations/operation.js';
import { VolumeDto } from './dto/volume.dto.js';
import { CreateVolume, DeleteVolumeQuery, MoveVolume, UpdateVolume } from './dto/volume-requests.dto.js';
import { CREATE_VOLUME_ERRORS, VOLUME_PARAM } from './volume.errors.js';
import { VolumeActions } from './volume-actions.service.js';
import { VolumesService } from './volumes.service.js';

const ACCEPTED = {
  200: { type: OperationDto, description: 'The operation ended within the time of `Prefer: wait`.' },
  202: { type: OperationDto, description: 'Accepted; the operation goes on.' },
};

@Controller('v1/volumes')
export class VolumesController {
  constructor(
    private readonly volumes: VolumesService,
    private readonly actions: VolumeActions,
  ) {}

  @Post()
  @HttpCode(202)
  @Route({
    summary: 'Make a volume',
    permission: 'volumes:write',
    operation: true,
    body: CreateVolume,
    answers: ACCEPTED,
    errors: CREATE_VOLUME_ERRORS,
  })
  create(@Body() body: CreateVolume): Promise<Operation> {
    return this.actions.create(body);
  }

  @Get()
  @Route({
    summary: 'List volumes',
    permission: 'volumes:read',
    query: LabelledQuery,
    answers: { 200: { type: VolumeDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: LabelledQuery): Promise<Page<VolumeDto>> {
    return this.volumes.list(query);
  }

  @Get(':volume')
  @Route({
    summary: 'Show a volume',
    permission: 'volumes:read',
    params: VOLUME_PARAM,
    etag: 'sends',
    answers: { 200: { type: VolumeDto, description: 'The volume.' } },
    errors: ['volume.not_found'],
  })
  get(@Param('volume') volume: string): Promise<VolumeDto> {
    return this.volumes.get(volume);
  }

  @Patch(':volume')
  @Route({
    summary: 'Make a volume larger, also under a running machine',
    permission: 'volumes:write',
    params: VOLUME_PARAM,
    etag: 'checks',
    body: UpdateVolume,
    answers: { 200: { type: VolumeDto, description: 'The volume as it is now.' } },
    errors: [
      'volume.not_found',
      'volume.locked',
      'precondition.failed',
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
  update(@Param('volume') volume: string, @Body() body: UpdateVolume, @Req() request: Request): Promise<VolumeDto> {
    return this.volumes.grow(volume, body.sizeMiB, request.headers['if-match']);
  }

  @Post(':volume/move')
  @HttpCode(202)
  @Route({
    summary: 'Move a volume into another pool',
    permission: 'volumes:write',
    operation: true,
    params: VOLUME_PARAM,
    etag: 'checks',
    body: MoveVolume,
    answers: ACCEPTED,
    errors: [
      'volume.not_found',
      'volume.in_use',
      'volume.locked',
      'volume.state_conflict',
      'spec.disk_invalid',
      'pool.not_found',
      'pool.not_started',
      'pool.overcommitted',
      'pool.full',
      'precondition.failed',
      'host.unavailable',
    ],
  })
  move(@Param('volume') volume: string, @Body() body: MoveVolume, @Req() request: Request): Promise<Operation> {
    return this.actions.move(volume, body.pool, request.headers['if-match']);
  }

  @Delete(':volume')
  @HttpCode(202)
  @Route({
    summary: 'Delete a volume that no machine holds',
    permission: 'volumes:write',
    operation: true,
    params: VOLUME_PARAM,
    etag: 'checks',
    query: DeleteVolumeQuery,
    answers: ACCEPTED,
    errors: [
      'volume.not_found',
      'volume.in_use',
      'volume.locked',
      'volume.state_conflict',
      'pool.not_started',
      'precondition.failed',
      'host.unavailable',
    ],
  })
  remove(@Param('volume') volume: string, @Query() query: DeleteVolumeQuery, @Req() request: Request): Promise<Operation> {
    return this.actions.remove(volume, query.force ?? false, request.headers['if-match']);
  }
}
