// SPDX-License-Identifier: Apache-2.0
// Sockets of the family AF_VSOCK for a guest whose busybox does not know them.
//   vsock echo PORT      gives each connection back what it sends, for ever
//   vsock connect PORT   to the host: standard input goes there, what comes back goes to standard output
//   vsock cid            the context id of this guest
#include <linux/vm_sockets.h>
#include <poll.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static char buffer[1 << 16];

static int fail(const char *what) {
  perror(what);
  return 1;
}

/* Copies once; 0 at the end. */
static int copy(int from, int to) {
  ssize_t len = read(from, buffer, sizeof buffer);
  for (ssize_t done = 0; done < len;) {
    ssize_t written = write(to, buffer + done, len - done);
    if (written < 0) return 0;
    done += written;
  }
  return len > 0;
}

static int echo(int listener, struct sockaddr_vm *address) {
  if (bind(listener, (struct sockaddr *)address, sizeof *address) || listen(listener, 128)) return fail("listen");
  signal(SIGCHLD, SIG_IGN);
  puts("vsock: listening");
  fflush(stdout);
  for (;;) {
    int stream = accept(listener, NULL, NULL);
    if (stream < 0) return fail("accept");
    if (fork() == 0) {
      while (copy(stream, stream)) {
      }
      return 0;
    }
    close(stream);
  }
}

static int reach(int stream, struct sockaddr_vm *address) {
  address->svm_cid = VMADDR_CID_HOST;
  // The kernel gives up after 2 s, which is short for a guest without a CPU of its own.
  struct timeval limit = {.tv_sec = 60};
  setsockopt(stream, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof limit);
  if (connect(stream, (struct sockaddr *)address, sizeof *address)) return fail("connect");
  struct pollfd ends[] = {{.fd = 0, .events = POLLIN}, {.fd = stream, .events = POLLIN}};
  while (poll(ends, 2, -1) >= 0) {
    if (ends[0].revents && !copy(0, stream)) {
      ends[0].fd = -1;
      shutdown(stream, SHUT_WR);
    }
    if (ends[1].revents && !copy(stream, 1)) return 0;
  }
  return 1;
}

static int print_cid(void) {
  unsigned cid;
  int device = open("/dev/vsock", O_RDONLY);
  if (device < 0 || ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid)) return fail("/dev/vsock");
  printf("%u\n", cid);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "cid")) return print_cid();
  if (argc != 3) return 2;
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = strtoul(argv[2], NULL, 10)};
  int stream = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (stream < 0) return fail("socket");
  return strcmp(argv[1], "echo") ? reach(stream, &address) : echo(stream, &address);
}
