// SPDX-License-Identifier: Apache-2.0
// The compiled module. Only this file and its neighbours here import it; what it returns is typed where it is used.
export * from '#binding';
