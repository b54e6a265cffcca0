// SPDX-License-Identifier: Apache-2.0
import { type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { ApiError } from '../../common/api-error.js';
import { systemCode } from '../../common/system-code.js';
import { badAnswer, badRedirect, unreached } from './download-errors.js';
import { lookupWithin, type Reach, requireHost } from './reach.js';

const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];
/** What a server says when it may answer a moment later. */
const PASSING = [408, 425, 429, 500, 502, 503, 504];

/** Something that may be over when it is tried again. */
export class PassingFailure extends Error {
  constructor(
    readonly error: ApiError,
    /** Whether the server was never reached: a name nobody knows, a port where nobody listens. */
    readonly never = false,
  ) {
    super(error.message);
  }
}

/** What is asked for: the content from an offset on, if it is still the one that was begun. */
export interface ContentRequest {
  url: URL;
  reach: Reach;
  offset: number;
  /** Tells that content (RFC 9110 §8.8): a strong entity tag, or a date. */
  validator?: string | undefined;
  signal: AbortSignal;
  stallMilliseconds: number;
  /** Certificate authorities to trust in place of the system's. */
  ca?: string | undefined;
}

/** An answer whose body is the content from `offset` on. */
export interface Content {
  offset: number;
  /** Of the whole content, where the server says so. */
  totalBytes?: number;
  validator?: string;
  body: IncomingMessage;
}

/** Asks for content, and follows redirects. */
export async function openContent(wanted: ContentRequest): Promise<Content> {
  let { url } = wanted;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
    const answer = await ask({ ...wanted, url });
    const status = answer.statusCode ?? 0;
    if (!REDIRECTS.includes(status)) return contentOf(answer, wanted, url);
    answer.destroy();
    url = redirected(url, answer.headers.location);
  }
  throw badRedirect(`${wanted.url.host} leads from one URL to the next, more than ${MAX_REDIRECTS} times.`);
}

/** The next URL; credentials in it, and a way from HTTPS to HTTP, are refused. */
function redirected(from: URL, location: string | undefined): URL {
  const next = location === undefined || !URL.canParse(location, from.href) ? undefined : new URL(location, from);
  if (next === undefined || !['http:', 'https:'].includes(next.protocol))
    throw badRedirect(`${from.host} redirects to what is no URL of HTTP.`);
  if (from.protocol === 'https:' && next.protocol === 'http:') throw badRedirect(`${from.host} redirects from HTTPS to HTTP.`);
  if (next.username !== '' || next.password !== '') throw badRedirect(`${from.host} redirects to a URL with a name or password in it.`);
  return next;
}

function ask({ url, reach, offset, validator, signal, stallMilliseconds, ca }: ContentRequest): Promise<IncomingMessage> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  requireHost(host, reach);
  const options: RequestOptions & { ca?: string } = {
    agent: false,
    signal,
    lookup: lookupWithin(host, reach),
    headers: {
      Accept: '*/*',
      'Accept-Encoding': 'identity',
      'User-Agent': 'Flotilla',
      ...(offset === 0 ? {} : { Range: `bytes=${offset}-`, ...(validator === undefined ? {} : { 'If-Range': validator }) }),
    },
    ...(ca === undefined ? {} : { ca }),
  };
  return new Promise((resolve, reject) => {
    const request = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options);
    // Not a time without a byte: headers that come one byte at a time would never end it.
    const late = () => request.destroy(new Error(`it did not answer within ${stallMilliseconds / 1000} s`));
    const timer = setTimeout(late, stallMilliseconds);
    request.once('close', () => clearTimeout(timer));
    request.once('response', (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    request.on('error', (error) => reject(signal.aborted ? error : failureOf(url.host, error)));
    request.end();
  });
}

/** What an error of a connection means. */
export function failureOf(host: string, error: unknown): Error {
  if (error instanceof ApiError) return error;
  const code = systemCode(error) ?? '';
  const why = error instanceof Error ? error.message : String(error);
  const failure = unreached(host, why, error);
  const never = ['ENOTFOUND', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH'].includes(code);
  const forGood = /^(ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|HPE_|ERR_SSL)/.test(code);
  return forGood ? failure : new PassingFailure(failure, never);
}

function contentOf(answer: IncomingMessage, { offset, validator }: ContentRequest, { host }: URL): Content {
  try {
    const status = answer.statusCode ?? 0;
    if (PASSING.includes(status)) throw new PassingFailure(badAnswer(`${host} answers with status ${status}.`));
    const encoding = answer.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') throw badAnswer(`${host} sends the content packed (${encoding.slice(0, 40)}).`);
    if (status === 200) return { offset: 0, ...validatorOf(answer), ...lengthOf(answer.headers['content-length']), body: answer };
    if (status === 206 && offset > 0) return { offset, ...rangeOf(answer, offset, host), ...kept(validator), body: answer };
    throw badAnswer(`${host} answers with status ${status}, not with the content.`);
  } catch (error) {
    answer.destroy();
    throw error;
  }
}

function kept(validator: string | undefined): Pick<Content, 'validator'> {
  return validator === undefined ? {} : { validator };
}

/** A weak entity tag tells of what means the same, not of the same bytes. */
function validatorOf({ headers }: IncomingMessage): Pick<Content, 'validator'> {
  const { etag } = headers;
  return kept(etag !== undefined && !etag.startsWith('W/') ? etag : headers['last-modified']);
}

function lengthOf(text: string | undefined): Pick<Content, 'totalBytes'> {
  const totalBytes = Number(text);
  return text !== undefined && Number.isSafeInteger(totalBytes) && totalBytes >= 0 ? { totalBytes } : {};
}

/** `Content-Range: bytes 500-999/1000`. */
function rangeOf({ headers }: IncomingMessage, offset: number, host: string): Pick<Content, 'totalBytes'> {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? [];
  if (Number(first) !== offset) throw badAnswer(`${host} sends another part of the content than was asked for.`);
  return lengthOf(total === '*' ? undefined : total);
}
