// SPDX-License-Identifier: Apache-2.0
import { MAX_CONSOLE_PORTS, PORT_NAME_PATTERN } from '../../../common/console-ports.js';
import { ListField, StringField } from '../../../common/dto/fields.js';

/** A byte stream between a program of the guest and one of the host at a time. */
export class ConsolePortDto {
  @StringField({
    description:
      'Its name, `/dev/virtio-ports/NAME` in a Linux guest with udev: 1 to 64 letters, digits, `.`, `_` or `-`, and not `hvc0`. Attach to it with `GET /v1/machines/{machine}/console?port=NAME`.',
    pattern: PORT_NAME_PATTERN,
  })
  name: string;
}

/** A virtio console: a terminal, `hvc0` in Linux, and byte streams. */
export class ConsoleSpecDto {
  @ListField(() => ConsolePortDto, { description: 'Byte streams; at most 15. Default: none.', optional: true, max: MAX_CONSOLE_PORTS })
  ports?: ConsolePortDto[];
}
