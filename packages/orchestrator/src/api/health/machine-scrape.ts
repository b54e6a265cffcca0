// SPDX-License-Identifier: Apache-2.0
import { setMaxListeners } from 'node:events';
import { Injectable } from '@nestjs/common';
import { Semaphore, sleep } from '../../common/async.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import type { MachineValues } from '../../host-agent/machine-metrics.js';
import { LIVE } from '../machines/live-changes.service.js';
import { MachineRepository } from '../machines/machine.repository.js';
import type { MachineAnswer } from './machine-samples.js';

/** Workers asked at a time. */
const AT_ONCE = 32;
/** Milliseconds a worker has to answer, and all of them together: less than the ten seconds after which Prometheus gives up. */
const LIMITS = { each: 2000, all: 6000 };

/** A question to a worker, and whether somebody has given up waiting for its answer. */
interface Question {
  answer: Promise<MachineValues>;
  late: boolean;
}

/** Asks every live machine for its metrics, each once, in a time that is bounded whatever their workers do. */
@Injectable()
export class MachineScrape {
  /** Questions that no answer has come to: a worker that hangs is not asked again meanwhile. */
  private readonly asked = new Map<string, Question>();
  /** The parts that each live machine told of since it was first asked. */
  private parts = new Map<string, Set<string>>();
  limits = LIMITS;

  constructor(
    private readonly machines: MachineRepository,
    private readonly agent: HostAgent,
  ) {}

  /** The answers that came, and how many did not. */
  async run(): Promise<{ answers: MachineAnswer[]; silent: number }> {
    const ids = (await this.machines.inStates(LIVE)).map(({ id }) => id);
    this.parts = new Map(ids.map((id) => [id, this.parts.get(id) ?? new Set()]));
    const places = new Semaphore(AT_ONCE);
    const end = AbortSignal.timeout(this.limits.all);
    setMaxListeners(0, end); // every machine that waits listens to it
    const found = await Promise.all(
      (await this.machines.observed(ids)).map(async ({ id, name }): Promise<MachineAnswer | undefined> => {
        // One that hangs takes no place from those that answer.
        const values =
          this.asked.get(id)?.late === true ? undefined : await places.run(() => this.answer(id, end), end).catch(() => undefined);
        return values === undefined ? undefined : { machine: name, values, parts: this.parts.get(id) ?? new Set() };
      }),
    );
    const answers = found.filter((one) => one !== undefined);
    return { answers, silent: found.length - answers.length };
  }

  private async answer(id: string, end: AbortSignal): Promise<MachineValues> {
    const question = this.ask(id);
    const stop = new AbortController();
    const late = sleep(this.limits.each, AbortSignal.any([end, stop.signal])).then(() => {
      question.late = true;
      throw new Error(`Worker ${id} did not answer in time`);
    });
    try {
      return await Promise.race([question.answer, late]);
    } finally {
      stop.abort();
    }
  }

  private ask(id: string): Question {
    const open = this.asked.get(id);
    if (open !== undefined) return open;
    const question = { answer: this.agent.machineMetrics({ id }).finally(() => this.asked.delete(id)), late: false };
    this.asked.set(id, question);
    return question;
  }
}
