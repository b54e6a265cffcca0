// SPDX-License-Identifier: Apache-2.0
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { closeCodesExtension, closeCodesText } from '../../common/console-close.js';
import { NoBody } from '../../common/dto/no-body.dto.js';
import type { ErrorCode } from '../../common/error-codes.js';
import { LabelledQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route, type RouteDeclaration } from '../../common/route.js';
import type { Operation } from '../operations/operation.js';
import { OperationDto } from '../operations/dto/operation.dto.js';
import { ACTION_ERRORS, CHANGE_ERRORS, CREATE_ERRORS, INTERFACE_PARAM, MACHINE_PARAM } from './machine.errors.js';
import { BalloonDto, ReclaimedMemory, UpdateBalloon } from './dto/balloon.dto.js';
import { MachineDto, MachineMetrics } from './dto/machine.dto.js';
import { MachineStats } from './dto/machine-stats.dto.js';
import { CreateMachine, DeleteMachineQuery, LogsQuery, StopMachine, UpdateInterface, UpdateMachine } from './dto/machine-requests.dto.js';
import { MachineActions } from './machine-actions.service.js';
import { MachineBalloons } from './machine-balloons.service.js';
import { MachineConsole } from './machine-console.service.js';
import { MachineLinks } from './machine-links.service.js';
import { MachineThrottles } from './machine-throttles.service.js';
import { UpdateThrottle } from './dto/throttle.dto.js';
import { MachinesService } from './machines.service.js';

const ACCEPTED = {
  200: { type: OperationDto, description: 'The operation ended within the time of `Prefer: wait`.' },
  202: { type: OperationDto, description: 'Accepted; the operation goes on.' },
};

/** Codes that a question to a guest about its memory may answer. */
const MEMORY_ERRORS: readonly ErrorCode[] = [
  'machine.not_found',
  'machine.no_balloon',
  'machine.state_conflict',
  'worker.gone',
  'worker.busy',
];

/** The description of what changes a machine that is there. */
const action = (summary: string, { errors = [], ...input }: Pick<RouteDeclaration, 'body' | 'query' | 'errors'>): RouteDeclaration => ({
  summary,
  permission: 'machines:write',
  operation: true,
  params: MACHINE_PARAM,
  etag: 'checks',
  ...input,
  answers: ACCEPTED,
  errors: [...ACTION_ERRORS, ...errors],
});

@Controller('v1/machines')
export class MachinesController {
  constructor(
    private readonly machines: MachinesService,
    private readonly actions: MachineActions,
    private readonly console: MachineConsole,
    private readonly links: MachineLinks,
    private readonly throttles: MachineThrottles,
    private readonly balloons: MachineBalloons,
  ) {}

  @Post()
  @HttpCode(202)
  @Route({
    summary: 'Create a machine',
    permission: 'machines:write',
    operation: true,
    body: CreateMachine,
    answers: ACCEPTED,
    errors: CREATE_ERRORS,
  })
  create(@Body() body: CreateMachine): Promise<Operation> {
    return this.machines.create(body);
  }

  @Get()
  @Route({
    summary: 'List machines',
    permission: 'machines:read',
    query: LabelledQuery,
    answers: { 200: { type: MachineDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: LabelledQuery): Promise<Page<MachineDto>> {
    return this.machines.list(query);
  }

  @Get(':machine')
  @Route({
    summary: 'Show a machine',
    permission: 'machines:read',
    params: MACHINE_PARAM,
    etag: 'sends',
    answers: { 200: { type: MachineDto, description: 'The machine.' } },
    errors: ['machine.not_found'],
  })
  get(@Param('machine') machine: string): Promise<MachineDto> {
    return this.machines.get(machine);
  }

  @Patch(':machine')
  @Route({
    summary: 'Change name, size, notes, labels, protection or restart policy',
    permission: 'machines:write',
    params: MACHINE_PARAM,
    etag: 'checks',
    body: UpdateMachine,
    answers: { 200: { type: MachineDto, description: 'The machine as it is now.' } },
    errors: CHANGE_ERRORS,
  })
  update(@Param('machine') machine: string, @Body() body: UpdateMachine, @Req() request: Request): Promise<MachineDto> {
    return this.machines.update(machine, body, request.headers['if-match']);
  }

  @Patch(':machine/interfaces/:interface')
  @Route({
    summary: 'Plug a network cable in, or pull it out',
    permission: 'machines:write',
    params: INTERFACE_PARAM,
    etag: 'checks',
    body: UpdateInterface,
    answers: { 200: { type: MachineDto, description: 'The machine as it is now.' } },
    errors: [...ACTION_ERRORS, 'interface.not_found', 'worker.busy', 'machine.stuck'],
  })
  updateInterface(
    @Param('machine') machine: string,
    @Param('interface') name: string,
    @Body() body: UpdateInterface,
    @Req() request: Request,
  ): Promise<MachineDto> {
    return this.links.set(machine, name, body.link, request.headers['if-match']);
  }

  @Post(':machine/interfaces/:interface/announce')
  @HttpCode(204)
  @Route({
    summary: 'Have the guest tell a network where it is',
    permission: 'machines:write',
    params: INTERFACE_PARAM,
    body: NoBody,
    answers: { 204: { description: 'The guest is asked. One that is paused hears of it when it goes on.' } },
    errors: [
      'machine.not_found',
      'interface.not_found',
      'interface.no_announcement',
      'machine.state_conflict',
      'worker.gone',
      'worker.busy',
      'machine.stuck',
    ],
  })
  announce(@Param('machine') machine: string, @Param('interface') name: string, @Body() _body: NoBody): Promise<void> {
    return this.links.announce(machine, name);
  }

  @Patch(':machine/throttle')
  @Route({
    summary: 'Change what a device, or a group of them, may do',
    permission: 'machines:write',
    params: MACHINE_PARAM,
    etag: 'checks',
    body: UpdateThrottle,
    answers: { 200: { type: MachineDto, description: 'The machine as it is now.' } },
    errors: [...ACTION_ERRORS, 'throttle.unknown', 'worker.busy', 'machine.stuck'],
  })
  updateThrottle(@Param('machine') machine: string, @Body() body: UpdateThrottle, @Req() request: Request): Promise<MachineDto> {
    return this.throttles.set(machine, body, request.headers['if-match']);
  }
  @Patch(':machine/balloon')
  @Route({
    summary: 'Set what the guest shall give up of its memory',
    permission: 'machines:write',
    params: MACHINE_PARAM,
    etag: 'checks',
    body: UpdateBalloon,
    answers: { 200: { type: MachineDto, description: 'The machine as it is now.' } },
    errors: [...ACTION_ERRORS, 'machine.no_balloon', 'spec.balloon_invalid', 'worker.busy', 'machine.stuck'],
  })
  updateBalloon(@Param('machine') machine: string, @Body() body: UpdateBalloon, @Req() request: Request): Promise<MachineDto> {
    return this.balloons.set(machine, body.targetMiB, request.headers['if-match']);
  }

  @Get(':machine/balloon')
  @Route({
    summary: 'Read what the guest has given up, and how it is off for memory',
    permission: 'machines:read',
    params: MACHINE_PARAM,
    answers: { 200: { type: BalloonDto, description: 'The balloon; a guest that runs is asked, for a second at most.' } },
    errors: MEMORY_ERRORS,
  })
  balloon(@Param('machine') machine: string): Promise<BalloonDto> {
    return this.balloons.read(machine);
  }

  @Post(':machine/balloon/reclaim')
  @HttpCode(200)
  @Route({
    summary: 'Take back what nothing in the guest uses',
    permission: 'machines:write',
    params: MACHINE_PARAM,
    body: NoBody,
    answers: { 200: { type: ReclaimedMemory, description: 'What the guest gave back, within 4 seconds.' } },
    errors: [...MEMORY_ERRORS, 'machine.no_hinting', 'machine.stuck'],
  })
  reclaimMemory(@Param('machine') machine: string, @Body() _body: NoBody): Promise<ReclaimedMemory> {
    return this.balloons.reclaim(machine);
  }

  @Delete(':machine')
  @HttpCode(202)
  @Route(action('Delete a machine and its disks', { query: DeleteMachineQuery, errors: ['machine.protected', 'pool.not_started'] }))
  remove(@Param('machine') machine: string, @Query() query: DeleteMachineQuery, @Req() request: Request): Promise<Operation> {
    return this.actions.remove(machine, query.force ?? false, request.headers['if-match']);
  }

  @Post(':machine/start')
  @HttpCode(202)
  @Route(action('Start a machine', { body: NoBody, errors: ['host.memory_overcommitted', 'pool.not_started'] }))
  start(@Param('machine') machine: string, @Body() _body: NoBody, @Req() request: Request): Promise<Operation> {
    return this.actions.start(machine, request.headers['if-match']);
  }

  @Post(':machine/stop')
  @HttpCode(202)
  @Route(action('Press the power button, then kill', { body: StopMachine, errors: ['machine.no_power_button'] }))
  stop(@Param('machine') machine: string, @Body() body: StopMachine, @Req() request: Request): Promise<Operation> {
    return this.actions.stop(machine, body, request.headers['if-match']);
  }

  @Post(':machine/restart')
  @HttpCode(202)
  @Route(action('Stop and start again', { body: StopMachine, errors: ['machine.no_power_button', 'pool.not_started'] }))
  restart(@Param('machine') machine: string, @Body() body: StopMachine, @Req() request: Request): Promise<Operation> {
    return this.actions.restart(machine, body, request.headers['if-match']);
  }

  @Post(':machine/kill')
  @HttpCode(202)
  @Route(action('End a machine at once', { body: NoBody }))
  kill(@Param('machine') machine: string, @Body() _body: NoBody, @Req() request: Request): Promise<Operation> {
    return this.actions.kill(machine, request.headers['if-match']);
  }

  @Post(':machine/pause')
  @HttpCode(202)
  @Route(action('Stop the CPUs, keep the memory', { body: NoBody }))
  pause(@Param('machine') machine: string, @Body() _body: NoBody, @Req() request: Request): Promise<Operation> {
    return this.actions.pause(machine, request.headers['if-match']);
  }

  @Post(':machine/resume')
  @HttpCode(202)
  @Route(action('Let a paused machine go on', { body: NoBody }))
  resume(@Param('machine') machine: string, @Body() _body: NoBody, @Req() request: Request): Promise<Operation> {
    return this.actions.resume(machine, request.headers['if-match']);
  }

  @Get(':machine/logs')
  @Route({
    summary: 'Read what the console has shown',
    permission: 'machines:read',
    params: MACHINE_PARAM,
    query: LogsQuery,
    errors: ['machine.not_found', 'request.invalid_query'],
    answers: {
      200: {
        media: 'text/plain',
        description:
          'Console output as raw bytes, also of a stopped machine; the header `X-Console-Offset` has the offset of the first byte.',
      },
    },
  })
  logs(@Param('machine') machine: string, @Query() query: LogsQuery, @Res() response: Response): Promise<void> {
    return this.console.sendLog(machine, query, response);
  }

  @Get(':machine/metrics')
  @Route({
    summary: 'Read the counters of a running machine',
    permission: 'machines:read',
    params: MACHINE_PARAM,
    answers: { 200: { type: MachineMetrics, description: 'Counters.' } },
    errors: ['machine.not_found', 'machine.state_conflict'],
  })
  metrics(@Param('machine') machine: string): Promise<MachineMetrics> {
    return this.console.metrics(machine);
  }

  @Get(':machine/stats')
  @Route({
    summary: 'Read what a running machine has done, added up and by device and CPU',
    permission: 'machines:read',
    params: MACHINE_PARAM,
    answers: { 200: { type: MachineStats, description: 'Sums, and the metrics of each part.' } },
    errors: ['machine.not_found', 'machine.state_conflict'],
  })
  stats(@Param('machine') machine: string): Promise<MachineStats> {
    return this.console.stats(machine);
  }

  @Get(':machine/console')
  @Route({
    summary: 'Attach to the console by WebSocket',
    permission: 'machines:read',
    params: { ...MACHINE_PARAM },
    answers: {
      101: {
        media: 'application/octet-stream',
        description:
          'WebSocket. First frame: JSON text {"offset", "writer", "size"}; then binary frames both ways. Query: `offset`, `write`, ' +
          '`port` (a port of the console device, `hvc0` its terminal; without it the serial console), `access_token`. The writer of a ' +
          `port tells how large its terminal is by JSON text {"columns", "rows"}. Answer pings. ${closeCodesText()}`,
        extensions: { 'x-close-codes': closeCodesExtension() },
      },
    },
    errors: ['request.malformed', 'machine.not_found', 'console.port_not_found'],
  })
  attach(): void {
    this.console.refuseWithoutUpgrade();
  }
}
