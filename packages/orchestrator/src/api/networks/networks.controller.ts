// SPDX-License-Identifier: Apache-2.0
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Req } from '@nestjs/common';
import type { Request } from 'express';
import { LabelledQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { NetworkDto } from './dto/network.dto.js';
import { DefineNetwork, UpdateNetwork } from './dto/network-requests.dto.js';
import { DEFINE_NETWORK_ERRORS, NETWORK_PARAM } from './network.errors.js';
import { NetworkDefinitions } from './network-definitions.service.js';
import { NetworksService } from './networks.service.js';

@Controller('v1/networks')
export class NetworksController {
  constructor(
    private readonly networks: NetworksService,
    private readonly definitions: NetworkDefinitions,
  ) {}

  @Post()
  @HttpCode(201)
  @Route({
    summary: 'Define a network',
    permission: 'networks:write',
    body: DefineNetwork,
    answers: { 201: { type: NetworkDto, description: 'The network. The host has it while machines use it.' } },
    errors: DEFINE_NETWORK_ERRORS,
  })
  define(@Body() body: DefineNetwork): Promise<NetworkDto> {
    return this.definitions.define(body);
  }

  @Get()
  @Route({
    summary: 'List networks',
    permission: 'networks:read',
    query: LabelledQuery,
    answers: { 200: { type: NetworkDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: LabelledQuery): Promise<Page<NetworkDto>> {
    return this.networks.list(query);
  }

  @Get(':network')
  @Route({
    summary: 'Show a network and its leases',
    permission: 'networks:read',
    params: NETWORK_PARAM,
    etag: 'sends',
    answers: { 200: { type: NetworkDto, description: 'The network.' } },
    errors: ['network.not_found'],
  })
  get(@Param('network') network: string): Promise<NetworkDto> {
    return this.networks.get(network);
  }

  @Patch(':network')
  @Route({
    summary: 'Change MTU, domain, rules or labels of a network',
    permission: 'networks:write',
    params: NETWORK_PARAM,
    etag: 'checks',
    body: UpdateNetwork,
    answers: { 200: { type: NetworkDto, description: 'The network as it is now.' } },
    errors: ['network.not_found', 'precondition.failed', 'request.invalid_labels'],
  })
  update(@Param('network') network: string, @Body() body: UpdateNetwork, @Req() request: Request): Promise<NetworkDto> {
    return this.definitions.update(network, body, request.headers['if-match']);
  }

  @Delete(':network')
  @HttpCode(204)
  @Route({
    summary: 'Delete a network that no machine is on',
    permission: 'networks:write',
    params: NETWORK_PARAM,
    etag: 'checks',
    answers: { 204: { description: 'It is deleted.' } },
    errors: ['network.not_found', 'network.in_use', 'network.built_in', 'precondition.failed'],
  })
  remove(@Param('network') network: string, @Req() request: Request): Promise<void> {
    return this.definitions.remove(network, request.headers['if-match']);
  }
}
