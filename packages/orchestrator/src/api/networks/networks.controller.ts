// SPDX-License-Identifier: Apache-2.0
import { Controller, Get, Param, Query } from '@nestjs/common';
import { NamedQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { NetworkDto } from './dto/network.dto.js';
import { NetworksService } from './networks.service.js';

@Controller('v1/networks')
export class NetworksController {
  constructor(private readonly networks: NetworksService) {}

  @Get()
  @Route({
    summary: 'List networks',
    permission: 'networks:read',
    query: NamedQuery,
    answers: { 200: { type: NetworkDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: NamedQuery): Promise<Page<NetworkDto>> {
    return this.networks.list(query);
  }

  @Get(':network')
  @Route({
    summary: 'Show a network and its leases',
    permission: 'networks:read',
    params: { network: 'Id or name of the network.' },
    answers: { 200: { type: NetworkDto, description: 'The network.' } },
    errors: ['network.not_found'],
  })
  get(@Param('network') network: string): Promise<NetworkDto> {
    return this.networks.get(network);
  }
}
