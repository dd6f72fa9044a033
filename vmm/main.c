/* SPDX-License-Identifier: Apache-2.0 */
/* argv -> command; the one error line; the exit status. */
#include <stdio.h>

#include "vmm/base/err.h"

int main(void)
{
	fprintf(stderr, "cvmm: %s\n", "no command is built in yet");
	return 1;
}
