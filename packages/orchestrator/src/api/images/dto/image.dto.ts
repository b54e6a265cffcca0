// SPDX-License-Identifier: Apache-2.0
import { BoolField, EnumField, IntField, LabelsField, NameField, ObjectField, StringField, TimeField } from '../../../common/dto/fields.js';
import { SHA256_PATTERN } from '../../../common/names.js';
import { MAX_SOURCE_URL, SOURCE_URL_PATTERN } from '../../../common/source-url.js';
import { IMAGE_FORMATS, IMAGE_KINDS, IMAGE_STATES, type Image, IMPORT_FORMATS, type ImportFormat } from '../image.js';

/** Where an image came from. */
export class ImageOrigin {
  @StringField({ description: 'Path of the file on the host; shown to administrators alone.', optional: true }) path?: string;
  @StringField({ description: 'URL it was downloaded from, without its query.', optional: true }) url?: string;
  @BoolField({ description: 'True when it was uploaded.', optional: true }) upload?: boolean;
}

/** A kernel, initrd or disk that machines are made from. */
export class ImageDto {
  @StringField({ description: 'Id; sorts by time of creation.' }) id: string;
  @StringField({ description: 'Unique name.' }) name: string;
  @EnumField({ description: 'What it is.', values: IMAGE_KINDS }) kind: string;
  @EnumField({ description: 'Format in which the pool keeps it.', values: IMAGE_FORMATS }) format: string;
  @IntField({ description: 'Size in bytes; 0 while it is imported.' }) sizeBytes: number;
  @StringField({ description: 'SHA-256 in hexadecimal; empty while it is imported.' }) sha256: string;
  @EnumField({ description: 'State.', values: IMAGE_STATES }) state: string;
  @TimeField({ description: 'When the import was asked for.' }) createdAt: string;
  @LabelsField({}) labels: Record<string, string>;
  @ObjectField(() => ImageOrigin, { description: 'Where it came from.' }) source: ImageOrigin;
}

/** A file on the host, or one that the host downloads: one of the two. */
export class ImageSource {
  @StringField({
    description:
      'Absolute path of a regular file on the host, no symbolic link. With import roots it must lie below one of them; without, only administrators may give a path.',
    minLength: 1,
    maxLength: 4096,
    pattern: /^\/[^\0]*$/,
    remedy: 'Give an absolute path, beginning with /.',
    optional: true,
  })
  path?: string;
  @StringField({
    description:
      'URL of HTTP or HTTPS that the host downloads the file from; HTTP needs sha256. Without download hosts it is one of public address, or an administrator asks.',
    optional: true,
    maxLength: MAX_SOURCE_URL,
    pattern: SOURCE_URL_PATTERN,
    remedy: 'Give a URL, beginning with https:// or http://.',
  })
  url?: string;
}

/** Body of `POST /v1/images`. */
export class ImportImage {
  @NameField({ description: 'Unique name of the image.' }) name: string;
  @EnumField({ description: 'What it is.', values: IMAGE_KINDS }) kind: 'kernel' | 'initrd' | 'disk';
  @EnumField({
    description:
      'Format of the file; it is checked, never guessed. kernel: elf or bzimage; initrd: initrd; disk: raw, or qcow2, vmdk, vhd, vhdx or vdi, which become raw.',
    values: IMPORT_FORMATS,
  })
  format: ImportFormat;
  @ObjectField(() => ImageSource, { description: 'The file to copy or download.' }) source: ImageSource;
  @StringField({
    description: 'SHA-256 the file must have, 64 lower-case hexadecimal digits.',
    optional: true,
    pattern: SHA256_PATTERN,
    maxLength: 64,
  })
  sha256?: string;
  @LabelsField({ optional: true }) labels?: Record<string, string>;
}

/** Query of an upload. */
export class UploadQuery {
  @EnumField({ description: 'What it is.', values: IMAGE_KINDS, code: 'request.invalid_query' }) kind: 'kernel' | 'initrd' | 'disk';
  @EnumField({ description: 'Format of the file; it is checked, never guessed.', values: IMPORT_FORMATS, code: 'request.invalid_query' })
  format: ImportFormat;
  @StringField({
    description: 'SHA-256 the content must have.',
    optional: true,
    pattern: SHA256_PATTERN,
    maxLength: 64,
    code: 'request.invalid_query',
  })
  sha256?: string;
  @StringField({
    description: 'Labels of the new image: `key=value,key2=value2`.',
    optional: true,
    maxLength: 2048,
    code: 'request.invalid_query',
  })
  labels?: string;
}

/** The form in which clients see an image. */
export function toImageDto(image: Image): ImageDto {
  return image;
}
