// SPDX-License-Identifier: Apache-2.0
import { Body, Controller, Delete, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import type { Request } from 'express';
import { Route } from '../../common/route.js';
import { OperationDto } from '../operations/dto/operation.dto.js';
import type { Operation } from '../operations/operation.js';
import { DetachDiskQuery } from './dto/machine-requests.dto.js';
import { DiskDto } from './dto/machine-spec.dto.js';
import { ACTION_ERRORS, DISK_PARAM, MACHINE_PARAM } from './machine.errors.js';
import { MachineDisks } from './machine-disks.service.js';

const ACCEPTED = {
  200: { type: OperationDto, description: 'The operation ended within the time of `Prefer: wait`.' },
  202: { type: OperationDto, description: 'Accepted; the operation goes on.' },
};

@Controller('v1/machines/:machine/disks')
export class MachineDisksController {
  constructor(private readonly disks: MachineDisks) {}

  @Post()
  @HttpCode(202)
  @Route({
    summary: 'Attach a disk to a stopped machine',
    permission: 'machines:write',
    operation: true,
    params: MACHINE_PARAM,
    etag: 'checks',
    body: DiskDto,
    answers: ACCEPTED,
    errors: [
      ...ACTION_ERRORS,
      'volume.not_found',
      'volume.locked',
      'image.not_found',
      'image.not_ready',
      'image.wrong_kind',
      'spec.disk_invalid',
      'spec.duplicate_name',
      'spec.throttle_group',
      'pool.not_found',
      'pool.not_started',
      'pool.unsupported',
      'pool.overcommitted',
      'pool.full',
    ],
  })
  attach(@Param('machine') machine: string, @Body() body: DiskDto, @Req() request: Request): Promise<Operation> {
    return this.disks.attach(machine, body, request.headers['if-match']);
  }

  @Delete(':disk')
  @HttpCode(202)
  @Route({
    summary: 'Detach a disk from a stopped machine',
    permission: 'machines:write',
    operation: true,
    params: DISK_PARAM,
    etag: 'checks',
    query: DetachDiskQuery,
    answers: ACCEPTED,
    errors: [...ACTION_ERRORS, 'disk.not_found', 'pool.not_started'],
  })
  detach(
    @Param('machine') machine: string,
    @Param('disk') disk: string,
    @Query() query: DetachDiskQuery,
    @Req() request: Request,
  ): Promise<Operation> {
    return this.disks.detach(machine, disk, query.deleteVolume ?? false, request.headers['if-match']);
  }
}
