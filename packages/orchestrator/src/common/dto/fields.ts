// SPDX-License-Identifier: Apache-2.0
// One decorator a field: it checks the value (class-validator) and describes it (OpenAPI), so that the two cannot differ.
import { Transform, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  IsArray,
  IsBoolean,
  IsDefined,
  IsIn,
  IsInt,
  IsNumber,
  IsObject,
  IsOptional,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
  MinLength,
  ValidateBy,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import type { ErrorCode } from '../error-codes.js';
import { isLabels, looksLikeId, NAME_PATTERN } from '../names.js';
import { type DtoClass, type JsonSchema, noteProperty } from './schema.js';

/** What a violated check answers beside its text. */
export interface CheckContext {
  code: ErrorCode;
  remedy: string;
}

interface Common {
  /** Meaning, unit and default, for the reader of the API document. */
  description: string;
  optional?: boolean;
  nullable?: boolean;
  default?: unknown;
  /** Code of a value that has the right type and is refused all the same. */
  code?: ErrorCode;
  /** What to do about a refused value. */
  remedy?: string;
}

type Decorate = PropertyDecorator;

const typed = (remedy: string): CheckContext => ({ code: 'request.invalid_type', remedy });

function field(options: Common, schema: JsonSchema, checks: Decorate[]): Decorate {
  return (target, key) => {
    const name = String(key);
    if (options.optional === true)
      ValidateIf((_object, value) => value !== undefined && !(options.nullable === true && value === null))(target, key);
    else if (options.nullable === true) IsOptional()(target, key);
    else {
      IsDefined({
        message: `${name} is missing`,
        context: { code: 'request.missing_field', remedy: `Give the field ${name}.` } satisfies CheckContext,
      })(target, key);
    }
    for (const check of checks) check(target, key);
    noteProperty(target, { name, required: options.optional !== true, schema: { ...describe(options), ...nullable(schema, options) } });
  };
}

function describe(options: Common): JsonSchema {
  return { description: options.description, ...(options.default === undefined ? {} : { default: options.default }) };
}

function nullable(schema: JsonSchema, options: Common): JsonSchema {
  return options.nullable === true && typeof schema['type'] === 'string' ? { ...schema, type: [schema['type'], 'null'] } : schema;
}

function refused(options: Common, fallback: string): CheckContext {
  return { code: options.code ?? 'request.invalid_value', remedy: options.remedy ?? fallback };
}

/** A whole number. `codes` tells small, large and fractional values apart where clients care; `values` are all that there are. */
export function IntField(
  options: Common & {
    min?: number;
    max?: number;
    multipleOf?: number;
    values?: readonly number[];
    codes?: { type?: ErrorCode; low?: ErrorCode; high?: ErrorCode; step?: ErrorCode };
  },
): Decorate {
  const { min, max, multipleOf, values, codes } = options;
  const step = codes?.step ?? 'request.invalid_type';
  const range = `Give a whole number${min === undefined ? '' : ` of at least ${min}`}${max === undefined ? '' : ` and at most ${max}`}${multipleOf === undefined ? '' : `, a multiple of ${multipleOf}`}.`;
  const checks: Decorate[] = [
    IsNumber(
      {},
      { message: '$property must be a number', context: { ...typed(range), ...(codes?.type === undefined ? {} : { code: codes.type }) } },
    ),
    IsInt({ message: '$property must be a whole number', context: { code: step, remedy: range } satisfies CheckContext }),
  ];
  if (min !== undefined)
    checks.push(
      Min(min, {
        message: `$property must be at least ${min}`,
        context: { ...refused(options, range), ...(codes?.low === undefined ? {} : { code: codes.low }) },
      }),
    );
  if (max !== undefined)
    checks.push(
      Max(max, {
        message: `$property must be at most ${max}`,
        context: { ...refused(options, range), ...(codes?.high === undefined ? {} : { code: codes.high }) },
      }),
    );
  if (multipleOf !== undefined) {
    checks.push(
      ValidateBy(
        { name: 'multipleOf', validator: { validate: (value) => typeof value === 'number' && value % multipleOf === 0 } },
        { message: `$property must be a multiple of ${multipleOf}`, context: { code: step, remedy: range } satisfies CheckContext },
      ),
    );
  }
  if (values !== undefined) {
    const list = values.join(' or ');
    checks.push(IsIn([...values], { message: `$property must be ${list}`, context: refused(options, `Give ${list}.`) }));
  }
  return field(
    options,
    {
      type: 'integer',
      ...(values === undefined ? {} : { enum: [...values] }),
      ...(min === undefined ? {} : { minimum: min }),
      ...(max === undefined ? {} : { maximum: max }),
      ...(multipleOf === undefined ? {} : { multipleOf }),
    },
    checks,
  );
}

/** A whole number in a query, where everything arrives as text. */
export function QueryIntField(options: Common & { min: number; max: number }): Decorate {
  const { code } = options;
  const inner = IntField({ ...options, ...(code === undefined ? {} : { codes: { type: code, step: code } }) });
  return (target, key) => {
    Transform(({ value }: { value: unknown }) => (typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value))(
      target,
      key,
    );
    inner(target, key);
  };
}

/** A boolean in a query: the texts `true` and `false`. */
export function QueryBoolField(options: Common): Decorate {
  const inner = BoolField(options);
  return (target, key) => {
    Transform(({ value }: { value: unknown }) => (value === 'true' ? true : value === 'false' ? false : value))(target, key);
    inner(target, key);
  };
}

/** Any finite number, between bounds when there are some. */
export function NumberField(options: Common & { min?: number; max?: number }): Decorate {
  const { min, max } = options;
  const bounds = `Give a number${min === undefined ? '' : ` of at least ${min}`}${max === undefined ? '' : ` and at most ${max}`}.`;
  const checks: Decorate[] = [IsNumber({}, { message: '$property must be a number', context: typed(bounds) })];
  if (min !== undefined) checks.push(Min(min, { message: `$property must be at least ${min}`, context: refused(options, bounds) }));
  if (max !== undefined) checks.push(Max(max, { message: `$property must be at most ${max}`, context: refused(options, bounds) }));
  return field(
    options,
    { type: 'number', ...(min === undefined ? {} : { minimum: min }), ...(max === undefined ? {} : { maximum: max }) },
    checks,
  );
}

/** A text with bounds and a pattern. */
export function StringField(options: Common & { minLength?: number; maxLength?: number; pattern?: RegExp; format?: string }): Decorate {
  const { minLength, maxLength = 4096, pattern, format } = options;
  const checks: Decorate[] = [
    IsString({ message: '$property must be a text', context: typed('Give a text in quotes.') }),
    MaxLength(maxLength, {
      message: `$property may have at most ${maxLength} characters`,
      context: refused(options, `Give at most ${maxLength} characters.`),
    }),
  ];
  if (minLength !== undefined)
    checks.push(
      MinLength(minLength, {
        message: `$property must have at least ${minLength} characters`,
        context: refused(options, `Give at least ${minLength} characters.`),
      }),
    );
  if (pattern !== undefined)
    checks.push(
      Matches(pattern, {
        message: `$property must match ${pattern.source}`,
        context: refused(options, `Give a text that matches ${pattern.source}.`),
      }),
    );
  return field(
    options,
    {
      type: 'string',
      ...(minLength === undefined ? {} : { minLength }),
      maxLength,
      ...(pattern === undefined ? {} : { pattern: pattern.source }),
      ...(format === undefined ? {} : { format }),
    },
    checks,
  );
}

/** A name: lower-case letters, digits, hyphens; at most 63 characters; nothing that has the form of an id. */
export function NameField(options: Partial<Common>): Decorate {
  const text = StringField({
    description: 'Lower-case letters, digits and hyphens, at most 63 characters.',
    code: 'request.invalid_name',
    remedy: 'Use lower-case letters, digits and hyphens, starting and ending with a letter or digit, at most 63 characters.',
    ...options,
    minLength: 1,
    maxLength: 63,
    pattern: NAME_PATTERN,
  });
  const noId = ValidateBy(
    { name: 'noId', validator: { validate: (value) => !looksLikeId(value) } },
    {
      message: '$property has the form of an id',
      context: {
        code: options.code ?? 'request.invalid_name',
        remedy: 'Choose a name that cannot be taken for an id.',
      } satisfies CheckContext,
    },
  );
  return (target, key) => {
    text(target, key);
    noId(target, key);
  };
}

/** A moment in time, ISO 8601 in UTC. */
export function TimeField(options: Common): Decorate {
  return StringField({ ...options, format: 'date-time', maxLength: 40 });
}

/** One of a closed list of texts. */
export function EnumField(options: Common & { values: readonly string[] }): Decorate {
  const list = options.values.join(', ');
  return field(options, { type: 'string', enum: [...options.values] }, [
    IsString({ message: '$property must be a text', context: typed(`Give one of: ${list}.`) }),
    IsIn([...options.values], { message: `$property must be one of: ${list}`, context: refused(options, `Give one of: ${list}.`) }),
  ]);
}

/** True or false. */
export function BoolField(options: Common): Decorate {
  return field(options, { type: 'boolean' }, [
    IsBoolean({ message: '$property must be true or false', context: typed('Give true or false, without quotes.') }),
  ]);
}

/** Labels: a map of texts. */
export function LabelsField(options: Partial<Common>): Decorate {
  const full: Common = { description: 'Labels: at most 64 pairs of texts; lists can be filtered by them.', ...options };
  return field(full, { type: 'object', additionalProperties: { type: 'string', maxLength: 255 } }, [
    IsObject({ message: '$property must be an object of texts', context: typed('Give an object such as {"team": "red"}.') }),
    ValidateBy(
      { name: 'labels', validator: { validate: isLabels } },
      {
        message: '$property has a key or value that is not allowed',
        context: {
          code: 'request.invalid_labels',
          remedy: 'Keys: letters, digits and ._/- (at most 63); values: at most 255 printable characters; at most 64 labels.',
        } satisfies CheckContext,
      },
    ),
  ]);
}

/** A nested object of a class. */
export function ObjectField(type: () => DtoClass, options: Common): Decorate {
  const checks: Decorate[] = [
    IsObject({ message: '$property must be an object', context: typed('Give an object.') }),
    ValidateNested(),
    Type(type as () => new () => object),
  ];
  return field(options, options.nullable === true ? { oneOf: [{ $class: type }, { type: 'null' }] } : { $class: type }, checks);
}

/** A list of objects of a class, with a bound on its length. */
export function ListField(type: () => DtoClass, options: Common & { max?: number }): Decorate {
  const max = options.max ?? 10_000;
  return field(options, { type: 'array', items: { $class: type }, ...(options.max === undefined ? {} : { maxItems: max }) }, [
    IsArray({ message: '$property must be a list', context: typed('Give a list.') }),
    ArrayMaxSize(max, { message: `$property may have at most ${max} entries`, context: refused(options, `Give at most ${max} entries.`) }),
    ValidateBy(
      {
        name: 'objects',
        validator: {
          validate: (value) => Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one)),
        },
      },
      {
        message: 'each entry of $property must be an object',
        context: typed('Give a list of objects.'),
      },
    ),
    ValidateNested({ each: true }),
    Type(type as () => new () => object),
  ]);
}

/** A field with a schema and check of its own. */
export function CustomField(options: Common & { schema: JsonSchema; check?: (value: unknown) => boolean }): Decorate {
  const { check } = options;
  return field(
    options,
    options.schema,
    check === undefined
      ? []
      : [
          ValidateBy(
            { name: 'custom', validator: { validate: check } },
            { message: '$property is not valid', context: refused(options, options.description) },
          ),
        ],
  );
}
