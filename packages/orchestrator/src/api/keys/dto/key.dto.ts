// SPDX-License-Identifier: Apache-2.0
import { EnumField, NameField, StringField, TimeField } from '../../../common/dto/fields.js';
import { ROLES } from '../../auth/roles.js';

/** An API key; its secret is never shown again. */
export class KeyDto {
  @StringField({ description: 'Id.' }) id: string;
  @StringField({ description: 'Unique name.' }) name: string;
  @EnumField({ description: 'Role.', values: ROLES }) role: string;
  @TimeField({ description: 'When it was made.' }) createdAt: string;
}

/** A new API key with its secret. */
export class NewKeyDto extends KeyDto {
  @StringField({ description: 'The key to use as bearer token; shown this once.' }) secret: string;
}

/** Body of `POST /v1/keys`. */
export class CreateKey {
  @NameField({ description: 'Unique name of the key.' }) name: string;
  @EnumField({ description: 'viewer reads; operator also changes machines and images; admin may do everything.', values: ROLES }) role:
    | 'admin'
    | 'operator'
    | 'viewer';
}

/** Who asks. */
export class WhoAmI {
  @StringField({ description: 'Id of the key.' }) id: string;
  @StringField({ description: 'Name of the key.' }) name: string;
  @EnumField({ description: 'Role.', values: ROLES }) role: string;
}
