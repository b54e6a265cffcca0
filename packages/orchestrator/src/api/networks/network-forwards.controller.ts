// SPDX-License-Identifier: Apache-2.0
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import type { Request } from 'express';
import { PageQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { AddForward, NetworkForwardDto } from './dto/forward.dto.js';
import { NETWORK_PARAM } from './network.errors.js';
import { NetworkForwards } from './network-forwards.service.js';

@Controller('v1/networks/:network/forwards')
export class NetworkForwardsController {
  constructor(private readonly forwards: NetworkForwards) {}

  @Post()
  @HttpCode(201)
  @Route({
    summary: 'Lead a port of the host to a machine on a network of the kind `nat`',
    permission: 'networks:write',
    params: NETWORK_PARAM,
    etag: 'checks',
    body: AddForward,
    answers: { 201: { type: NetworkForwardDto, description: 'The forward.' } },
    errors: [
      'network.not_found',
      'forward.unsupported',
      'forward.machine_invalid',
      'forward.too_many',
      'forward.port_busy',
      'forward.address_unknown',
      'spec.forward_invalid',
      'precondition.failed',
      'host.unavailable',
    ],
  })
  add(@Param('network') network: string, @Body() body: AddForward, @Req() request: Request): Promise<NetworkForwardDto> {
    return this.forwards.add(network, body, request.headers['if-match']);
  }

  @Get()
  @Route({
    summary: 'List the ports of the host that lead to machines on a network',
    permission: 'networks:read',
    params: NETWORK_PARAM,
    query: PageQuery,
    answers: { 200: { type: NetworkForwardDto, page: true, description: 'One page.' } },
    errors: ['network.not_found', 'request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Param('network') network: string, @Query() query: PageQuery): Promise<Page<NetworkForwardDto>> {
    return this.forwards.list(network, query);
  }

  @Delete(':forward')
  @HttpCode(204)
  @Route({
    summary: 'Take a forward away',
    permission: 'networks:write',
    params: { ...NETWORK_PARAM, forward: 'Id of the forward.' },
    etag: 'checks',
    answers: { 204: { description: 'It is gone.' } },
    errors: ['network.not_found', 'forward.not_found', 'precondition.failed'],
  })
  remove(@Param('network') network: string, @Param('forward') forward: string, @Req() request: Request): Promise<void> {
    return this.forwards.remove(network, forward, request.headers['if-match']);
  }
}
