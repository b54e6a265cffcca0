// SPDX-License-Identifier: Apache-2.0
import type { Kysely } from 'kysely';
import type { Schema } from '../schema.js';

interface Observed {
  addresses: { ip?: string }[];
}

/** The address that is reserved for an interface of a machine is its `address`; it was `ip`, as the one that a guest has taken is. */
export async function up(db: Kysely<never>): Promise<void> {
  const machines = db as unknown as Kysely<Pick<Schema, 'machines'>>;
  for (const { id, observed: text } of await machines.selectFrom('machines').select(['id', 'observed']).execute()) {
    const observed = JSON.parse(text) as Observed;
    const addresses = observed.addresses.map(({ ip, ...rest }) => (ip === undefined ? rest : { ...rest, address: ip }));
    await machines
      .updateTable('machines')
      .set({ observed: JSON.stringify({ ...observed, addresses }) })
      .where('id', '=', id)
      .execute();
  }
}
