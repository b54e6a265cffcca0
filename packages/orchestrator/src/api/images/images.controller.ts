// SPDX-License-Identifier: Apache-2.0
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query, Req } from '@nestjs/common';
import type { Request } from 'express';
import { LabelledQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import type { Operation } from '../operations/operation.js';
import { OperationDto } from '../operations/dto/operation.dto.js';
import { ImageDto, ImportImage, UploadQuery } from './dto/image.dto.js';
import { IMAGE_PARAM, IMPORT_ERRORS } from './image.errors.js';
import { ImagesService } from './images.service.js';
import { ImageUploads } from './image-uploads.service.js';

const ACCEPTED = {
  200: { type: OperationDto, description: 'The operation ended within the time of `Prefer: wait`.' },
  202: { type: OperationDto, description: 'Accepted; the operation goes on.' },
};

@Controller('v1/images')
export class ImagesController {
  constructor(
    private readonly images: ImagesService,
    private readonly uploads: ImageUploads,
  ) {}

  @Post()
  @HttpCode(202)
  @Route({
    summary: 'Import an image from a file on the host',
    permission: 'images:write',
    operation: true,
    body: ImportImage,
    answers: ACCEPTED,
    errors: IMPORT_ERRORS,
  })
  import(@Body() body: ImportImage): Promise<Operation> {
    return this.images.import(body);
  }

  @Put(':image/content')
  @HttpCode(201)
  @Route({
    summary: 'Upload an image',
    permission: 'images:write',
    params: { image: 'Name of the new image.' },
    query: UploadQuery,
    binaryBody: true,
    answers: { 201: { type: ImageDto, description: 'The image, ready to use.' } },
    errors: [...IMPORT_ERRORS, 'request.unsupported_media_type'],
  })
  upload(@Param('image') name: string, @Query() query: UploadQuery, @Req() request: Request): Promise<ImageDto> {
    return this.uploads.upload(name, query, request);
  }

  @Get()
  @Route({
    summary: 'List images',
    permission: 'images:read',
    query: LabelledQuery,
    answers: { 200: { type: ImageDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: LabelledQuery): Promise<Page<ImageDto>> {
    return this.images.list(query);
  }

  @Get(':image')
  @Route({
    summary: 'Show an image',
    permission: 'images:read',
    params: IMAGE_PARAM,
    answers: { 200: { type: ImageDto, description: 'The image.' } },
    errors: ['image.not_found'],
  })
  get(@Param('image') image: string): Promise<ImageDto> {
    return this.images.get(image);
  }

  @Delete(':image')
  @HttpCode(202)
  @Route({
    summary: 'Delete an image',
    permission: 'images:write',
    operation: true,
    params: IMAGE_PARAM,
    answers: ACCEPTED,
    errors: ['image.not_found', 'image.in_use', 'image.not_ready'],
  })
  remove(@Param('image') image: string): Promise<Operation> {
    return this.images.remove(image);
  }
}
