// SPDX-License-Identifier: Apache-2.0
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { RequestMethod } from '@nestjs/common';
import 'reflect-metadata';
import { CONTROLLERS } from '../api/controllers.js';
import { KEEP_IDEMPOTENCY_HOURS, takesIdempotencyKey } from '../api/idempotency/idempotency.store.js';
import { EventDto } from '../api/events/dto/event.dto.js';
import { type DtoClass, type JsonSchema, propertiesOf } from '../common/dto/schema.js';
import { Problem } from '../common/dto/problem.dto.js';
import { ERROR_CODES, type ErrorCode, statusOf } from '../common/error-codes.js';
import { type Answer, ROUTE, type RouteDeclaration } from '../common/route.js';

type Json = Record<string, unknown>;

const EVERYWHERE: readonly ErrorCode[] = ['auth.missing', 'auth.invalid', 'auth.forbidden', 'internal', 'request.malformed'];
const WITH_BODY: readonly ErrorCode[] = [
  'request.too_large',
  'request.unsupported_media_type',
  'request.unknown_field',
  'request.missing_field',
  'request.invalid_type',
  'request.invalid_value',
  'request.invalid',
];
const WITH_KEY: readonly ErrorCode[] = ['idempotency.mismatch', 'idempotency.in_flight', 'request.invalid_header'];

/** What is 404 as a part of a path, and 422 as a field of a body. */
const FIELD_CODES: readonly ErrorCode[] = ['image.not_found', 'network.not_found', 'pool.not_found', 'volume.not_found'];

/** Schema names drop the suffix that tells a response class from its domain type. */
function nameOf(type: DtoClass): string {
  return type.name.replace(/Dto$/, '');
}

/** Makes the OpenAPI 3.1 document from the declarations of the controllers. */
export class DocumentBuilder {
  private readonly schemas = new Map<string, Json>();
  private readonly paths: Record<string, Json> = {};

  build(version: string): Json {
    for (const controller of CONTROLLERS) this.addController(controller);
    this.reference(EventDto);
    this.reference(Problem);
    return {
      openapi: '3.1.0',
      info: {
        title: 'Flotilla',
        version,
        description: 'Runs fleets of virtual machines on Linux KVM.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: 'http://127.0.0.1:7070' }],
      security: [{ apiKey: [] }],
      paths: Object.fromEntries(Object.entries(this.paths).sort(([a], [b]) => (a < b ? -1 : 1))),
      components: {
        securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'API key: flo_<id>_<secret>.' } },
        schemas: Object.fromEntries([...this.schemas].sort(([a], [b]) => (a < b ? -1 : 1))),
      },
    };
  }

  private addController(controller: (typeof CONTROLLERS)[number]): void {
    const base = String(Reflect.getMetadata(PATH_METADATA, controller) ?? '');
    const tag = controller.name.replace(/Controller$/, '');
    const prototype = controller.prototype as unknown as Record<string, unknown>;
    for (const key of Object.getOwnPropertyNames(prototype)) {
      const handler = prototype[key];
      if (typeof handler !== 'function') continue;
      const declaration = Reflect.getMetadata(ROUTE, handler) as RouteDeclaration | undefined;
      if (declaration === undefined) continue;
      const path =
        `/${[base, String(Reflect.getMetadata(PATH_METADATA, handler) ?? '')].filter((part) => part !== '' && part !== '/').join('/')}`
          .replace(/\/{2,}/g, '/')
          .replace(/:(\w+)/g, '{$1}');
      const method = RequestMethod[Reflect.getMetadata(METHOD_METADATA, handler) as number]?.toLowerCase() ?? 'get';
      this.paths[path] = { ...this.paths[path], [method]: this.operation(tag, key, method, declaration) };
    }
  }

  private operation(tag: string, key: string, method: string, route: RouteDeclaration): Json {
    return {
      operationId: `${tag.charAt(0).toLowerCase()}${tag.slice(1)}_${key}`,
      tags: [tag],
      summary: route.summary,
      ...(route.permission === 'none' ? { security: [] } : { 'x-permission': route.permission }),
      parameters: this.parameters(method, route),
      ...this.requestBody(route),
      responses: { ...this.answers(route), ...this.problems(method, route) },
    };
  }

  private parameters(method: string, route: RouteDeclaration): Json[] {
    const header = (name: string, description: string, schema: Json = { type: 'string' }) => ({
      name,
      in: 'header',
      required: false,
      description,
      schema,
    });
    const list: Json[] = Object.entries(route.params ?? {}).map(([name, description]) => ({
      name,
      in: 'path',
      required: true,
      description,
      schema: { type: 'string' },
    }));
    for (const note of route.query === undefined ? [] : propertiesOf(route.query)) {
      const { description, ...schema } = note.schema;
      list.push({ name: note.name, in: 'query', required: note.required, description, schema: this.resolve(schema) });
    }
    for (const [name, description] of Object.entries(route.headers ?? {})) list.push(header(name, description));
    if (route.operation === true)
      list.push(
        header('Prefer', '`wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.', {
          type: 'string',
          example: 'wait=30',
        }),
      );
    if (takesIdempotencyKey(method))
      list.push(
        header('Idempotency-Key', `Makes a repeat of this request answer as the first one did; kept for ${KEEP_IDEMPOTENCY_HOURS} hours.`, {
          type: 'string',
          maxLength: 255,
        }),
      );
    if (route.etag === 'checks') list.push(header('If-Match', 'ETag that the resource must still have.'));
    return list;
  }

  private requestBody(route: RouteDeclaration): Json {
    if (route.binaryBody === true)
      return { requestBody: { required: true, content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } } } };
    if (route.body === undefined) return {};
    const required = propertiesOf(route.body).some((note) => note.required);
    return { requestBody: { required, content: { 'application/json': { schema: this.reference(route.body) } } } };
  }

  private answers(route: RouteDeclaration): Json {
    return Object.fromEntries(
      Object.entries(route.answers).map(([status, answer]) => [
        status,
        {
          description: answer.description,
          headers: this.answerHeaders(Number(status), route),
          ...this.content(answer),
          ...answer.extensions,
        },
      ]),
    );
  }

  private answerHeaders(status: number, route: RouteDeclaration): Json {
    const text = (description: string) => ({ description, schema: { type: 'string' } });
    return {
      'X-Request-Id': text('Id of the request.'),
      ...(route.etag === 'sends' ? { ETag: text('Generation of the resource.') } : {}),
      ...(route.operation === true ? { 'Preference-Applied': text('The wait that was applied.') } : {}),
      ...(status === 202 ? { Location: text('Path of the operation.') } : {}),
    };
  }

  private content(answer: Answer): Json {
    if (answer.media !== undefined)
      return { content: { [answer.media]: { schema: answer.media === 'application/json' ? { type: 'object' } : { type: 'string' } } } };
    if (answer.type === undefined) return {};
    const schema = answer.page === true ? this.page(answer.type) : this.reference(answer.type);
    return { content: { 'application/json': { schema } } };
  }

  private page(type: DtoClass): Json {
    const name = `${nameOf(type)}Page`;
    this.schemas.set(name, {
      type: 'object',
      additionalProperties: false,
      required: ['items'],
      properties: {
        items: { type: 'array', items: this.reference(type) },
        nextCursor: { type: 'string', description: 'Give it as `cursor` to get the next page; absent on the last one.' },
      },
    });
    return { $ref: `#/components/schemas/${name}` };
  }

  private problems(method: string, route: RouteDeclaration): Json {
    const codes = new Set<ErrorCode>([
      ...(route.permission === 'none' ? (['internal', 'request.malformed', 'auth.missing', 'auth.invalid'] as const) : EVERYWHERE),
      ...(route.errors ?? []),
    ]);
    if (method === 'post' || method === 'patch') for (const code of WITH_BODY) codes.add(code);
    if (takesIdempotencyKey(method)) for (const code of WITH_KEY) codes.add(code);
    if (route.operation === true) codes.add('request.invalid_header');
    const byStatus = new Map<number, ErrorCode[]>();
    const put = (status: number, code: ErrorCode) => byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
    for (const code of codes) {
      put(statusOf(code), code);
      if (route.body !== undefined && FIELD_CODES.includes(code)) put(422, code);
    }
    return Object.fromEntries(
      [...byStatus]
        .sort(([a], [b]) => a - b)
        .map(([status, list]) => [
          String(status),
          {
            description: list.map((code) => `\`${code}\`: ${ERROR_CODES[code][1]}.`).join('\n'),
            content: { 'application/problem+json': { schema: this.reference(Problem) } },
          },
        ]),
    );
  }

  private reference(type: DtoClass): Json {
    const name = nameOf(type);
    if (!this.schemas.has(name)) {
      this.schemas.set(name, {});
      const notes = propertiesOf(type);
      const required = notes.filter((note) => note.required).map((note) => note.name);
      this.schemas.set(name, {
        type: 'object',
        additionalProperties: false,
        ...(required.length === 0 ? {} : { required }),
        properties: Object.fromEntries(notes.map((note) => [note.name, this.resolve(note.schema)])),
      });
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  private resolve(schema: JsonSchema): Json {
    const { $class: type, ...rest } = schema;
    const resolved = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, this.resolveValue(value)]));
    return type === undefined ? resolved : { ...resolved, ...this.reference(type()) };
  }

  private resolveValue(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((one: unknown) => this.resolveValue(one));
    return typeof value === 'object' && value !== null ? this.resolve(value as JsonSchema) : value;
  }
}
