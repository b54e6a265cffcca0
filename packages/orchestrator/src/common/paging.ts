// SPDX-License-Identifier: Apache-2.0
import { ApiError } from './api-error.js';
import type { LabelledQuery, NamedQuery, PageQuery } from './dto/list.dto.js';
import { isLabels, type Labels } from './names.js';

/** One page of a list. */
export interface Page<T> {
  items: T[];
  /** Give it as `cursor` to get the next page; absent on the last one. */
  nextCursor?: string;
}

/** What a repository needs to read one page. Rows come in the order of their ids. */
export interface PageRequest {
  limit: number;
  after?: string;
}
/** A page of named resources. */
export interface NamedPage extends PageRequest {
  name?: string;
}
/** A page of named resources that carry labels: all of these. */
export interface LabelledPage extends NamedPage {
  labels: Labels;
}

const DEFAULT_LIMIT = 50;

/** Reads the paging part of a query. */
export function pageRequest(query: PageQuery): PageRequest {
  return {
    limit: query.limit ?? DEFAULT_LIMIT,
    ...(query.cursor === undefined ? {} : { after: decodeCursor(query.cursor) }),
  };
}

/** Reads the query of a list of named resources. */
export function namedPage(query: NamedQuery): NamedPage {
  return { ...pageRequest(query), ...(query.name === undefined ? {} : { name: query.name }) };
}

/** Reads the query of a list of labelled resources. */
export function labelledPage(query: LabelledQuery): LabelledPage {
  return { ...namedPage(query), labels: query.labels === undefined ? {} : parseLabels(query.labels) };
}

/** Makes a page of rows that were read with `limit + 1`. */
export function toPage<R, T>(rows: R[], limit: number, position: (row: R) => string, map: (row: R) => T): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(map),
    ...(rows.length > limit && last !== undefined ? { nextCursor: encodeCursor(position(last)) } : {}),
  };
}

/** One page of a list that is so short that all of it is at hand. */
export function pageOf<T extends { id: string }>(all: T[], query: PageQuery): Page<T> {
  const { limit, after = '' } = pageRequest(query);
  return toPage(
    all.filter((one) => one.id > after),
    limit,
    (one) => one.id,
    (one) => one,
  );
}

function encodeCursor(position: string): string {
  return Buffer.from(`v1:${position}`).toString('base64url');
}

function decodeCursor(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString();
  if (!/^v1:[0-9a-z-]{1,64}$/.test(text)) {
    throw new ApiError('request.invalid_cursor', {
      detail: 'The cursor was not made by this API.',
      remedy: 'Give the nextCursor of the page before, or leave it out to start again.',
      field: 'cursor',
    });
  }
  return text.slice(3);
}

/** Labels of a query parameter: `key=value,key2=value2`. */
export function parseLabels(text: string): Labels {
  const pairs = text.split(',').map((pair) => pair.split('='));
  const labels: unknown = Object.fromEntries(pairs.map(([key, ...value]) => [key ?? '', value.join('=')]));
  if (pairs.some((pair) => pair.length < 2) || !isLabels(labels)) {
    throw new ApiError('request.invalid_query', {
      detail: `The labels "${text}" are not of the form key=value,key2=value2.`,
      remedy: 'Give labels=key=value pairs, separated by commas.',
      field: 'labels',
    });
  }
  return labels;
}
