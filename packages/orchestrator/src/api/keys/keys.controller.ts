// SPDX-License-Identifier: Apache-2.0
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { PageQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { CreateKey, KeyDto, NewKeyDto, WhoAmI } from './dto/key.dto.js';
import { KeysService } from './keys.service.js';

@Controller('v1')
export class KeysController {
  constructor(private readonly keys: KeysService) {}

  @Post('keys')
  @HttpCode(201)
  @Route({
    summary: 'Make an API key',
    permission: 'keys:write',
    body: CreateKey,
    answers: { 201: { type: NewKeyDto, description: 'The key; its secret is shown this once.' } },
    errors: ['key.name_taken', 'key.secret_shown_once', 'request.invalid_name'],
  })
  create(@Body() body: CreateKey): Promise<NewKeyDto> {
    return this.keys.create(body);
  }

  @Get('keys')
  @Route({
    summary: 'List API keys',
    permission: 'keys:read',
    query: PageQuery,
    answers: { 200: { type: KeyDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: PageQuery): Promise<Page<KeyDto>> {
    return this.keys.list(query);
  }

  @Delete('keys/:key')
  @HttpCode(204)
  @Route({
    summary: 'Delete an API key',
    permission: 'keys:write',
    params: { key: 'Id or name of the key.' },
    answers: { 204: { description: 'It is gone.' } },
    errors: ['key.not_found', 'key.last_admin'],
  })
  remove(@Param('key') key: string): Promise<void> {
    return this.keys.remove(key);
  }

  @Get('whoami')
  @Route({ summary: 'Show whose key this is', permission: 'self:read', answers: { 200: { type: WhoAmI, description: 'The key in use.' } } })
  whoami(): WhoAmI {
    return this.keys.whoami();
  }
}
