#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// npm links a command only to a file that is there when it installs, and in a clone that is before the build.
import '../dist/src/main.js';
