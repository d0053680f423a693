/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * smtpd_main.c - the command line of smtpd.
 *
 *	smtpd [options] [localhost:localport [remotehost:remoteport]]
 *
 * As `python3 -m smtpd`.  A class is one of those that are in the table below: C does not
 * import by name.  With -d it also says which port it listens on, because 0 asks for any.
 */

#include "smtpd.h"

#include <asyncore_event.h>

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	const struct smtp_server_type *type;
	int (*init)(struct smtp_server *, const struct smtp_server_type *, const char *, int,
		    const char *, int, long long, struct asyncore_map *, bool, bool);
} classes[] = {
	{ "PureProxy", &pure_proxy_type, pure_proxy_init },
	{ "DebuggingServer", &debugging_server_type, smtp_server_init },
	{ "SMTPServer", &smtp_server_type, smtp_server_init },
};

struct options {
	bool setuid;
	bool enable_SMTPUTF8;
	size_t class;
	long long size_limit;
	char *localhost;
	int localport;
	char *remotehost;
	int remoteport;
};

static const char *program;

/* --- usage ------------------------------------------------------------------------------ */

static void usage(int code, const char *format, const char *argument)
{
	fprintf(stderr, "An SMTP server and proxy (RFC 5321, with SIZE, 8BITMIME and SMTPUTF8).\n"
		"\n"
		"Usage: %s [options] [localhost:localport [remotehost:remoteport]]\n"
		"\n"
		"Options:\n"
		"\n"
		"    --nosetuid\n"
		"    -n\n"
		"        Stay who you are.  Otherwise the program becomes the user `nobody', for\n"
		"        which it has to be run by root.\n"
		"\n"
		"    --version\n"
		"    -V\n"
		"        Print the version and exit.\n"
		"\n"
		"    --class classname\n"
		"    -c classname\n"
		"        What to do with messages: PureProxy (the default) relays them,\n"
		"        DebuggingServer prints them, SMTPServer raises an error.\n"
		"\n"
		"    --size limit\n"
		"    -s limit\n"
		"        Take messages of up to so many bytes, and say so with SIZE.  There is no\n"
		"        limit otherwise.\n"
		"\n"
		"    --smtputf8\n"
		"    -u\n"
		"        Offer SMTPUTF8 (RFC 6531).\n"
		"\n"
		"    --debug\n"
		"    -d\n"
		"        Print the conversations on standard error.\n"
		"\n"
		"    --help\n"
		"    -h\n"
		"        Print this message and exit.\n"
		"\n"
		"Version: %s\n"
		"\n"
		"The local host is `localhost' and its port 8025, the remote host is `localhost'\n"
		"and its port 25, unless they are given.\n"
		"\n", program, SMTP_VERSION);
	if (format != NULL) {
		fprintf(stderr, format, argument);
		putc('\n', stderr);
	}
	exit(code);
}

/* --- arguments ---------------------------------------------------------------------------- */

static const char short_options[] = "+:nVhc:s:du";
static const struct option long_options[] = {
	{ "class", required_argument, NULL, 'c' },
	{ "nosetuid", no_argument, NULL, 'n' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ "size", required_argument, NULL, 's' },
	{ "debug", no_argument, NULL, 'd' },
	{ "smtputf8", no_argument, NULL, 'u' },
	{ NULL, 0, NULL, 0 }
};

/* Python looks for what is wrong before it does anything. */
static void check_options(int argc, char **argv)
{
	char text[3] = "-";
	const char *name;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (option != '?' && option != ':')
			continue;
		name = argv[optind - 1];
		text[1] = (char)optopt;
		if (strncmp(name, "--", 2) != 0)
			name = text;
		usage(1, option == ':' ? "option %s requires argument" : "option %s not recognized",
		      name);
	}
	optind = 1;
}

/* A number as int() takes it, blanks around it included. */
static bool parse_number(const char *text, long long *number)
{
	char *end;

	errno = 0;
	*number = strtoll(text, &end, 10);
	if (end == text || errno != 0)
		return false;
	while (isspace((unsigned char)*end))
		end++;
	return *end == '\0';
}

static size_t parse_class(const char *name)
{
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
		if (strcmp(classes[i].name, name) == 0)
			return i;
	fprintf(stderr, "%s: no class \"%s\"\n", program, name);
	exit(1);
}

/* "host:port": cut in two. */
static void parse_spec(const char *what, const char *spec, char **host, int *port)
{
	const char *colon = strchr(spec, ':');
	char format[32];
	long long number;

	if (colon == NULL) {
		snprintf(format, sizeof format, "Bad %s spec: %%s", what);
		usage(1, format, spec);
		return;
	}
	*host = strndup(spec, (size_t)(colon - spec));
	if (!parse_number(colon + 1, &number) || number < INT_MIN || number > INT_MAX) {
		snprintf(format, sizeof format, "Bad %s port: %%s", what);
		usage(1, format, spec);
	}
	*port = (int)number;
}

/* [', '.join(args)] */
static void too_many(int argc, char **argv)
{
	char list[1024] = "";

	for (int i = 0; i < argc; i++) {
		const size_t len = strlen(list);

		snprintf(list + len, sizeof list - len, "%s%s", i > 0 ? ", " : "", argv[i]);
	}
	usage(1, "Invalid arguments: %s", list);
}

static void parse_args(int argc, char **argv, struct options *options)
{
	int option;

	check_options(argc, argv);
	while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		switch (option) {
		case 'h':
			usage(0, NULL, NULL);
			break;
		case 'V':
			puts(SMTP_VERSION);
			exit(0);
		case 'n':
			options->setuid = false;
			break;
		case 'c':
			options->class = parse_class(optarg);
			break;
		case 'd':
			smtp_debug_stream = stderr;
			break;
		case 'u':
			options->enable_SMTPUTF8 = true;
			break;
		default:
			if (!parse_number(optarg, &options->size_limit)) {
				fprintf(stderr, "Invalid size: %s\n", optarg);
				exit(1);
			}
		}
	}
	argc -= optind;
	argv += optind;
	if (argc > 2)
		too_many(argc, argv);
	parse_spec("local", argc > 0 ? argv[0] : "localhost:8025", &options->localhost,
		   &options->localport);
	parse_spec("remote", argc > 1 ? argv[1] : "localhost:25", &options->remotehost,
		   &options->remoteport);
}

/* --- main ---------------------------------------------------------------------------------- */

static void become_nobody(void)
{
	const struct passwd *nobody = getpwnam("nobody");

	if (nobody == NULL || setuid(nobody->pw_uid) < 0) {
		fprintf(stderr, "Cannot setuid \"nobody\"; try running with -n option.\n");
		exit(1);
	}
}

static struct asyncore_trigger *stop;

static void on_signal(int number)
{
	(void)number;
	asyncore_trigger_pull(stop);
}

static int leave_loop(struct asyncore_map *map, void *arg)
{
	(void)map, (void)arg;
	return ASYNCORE_EXIT_NOW;
}

/* [asyncore.loop(), until KeyboardInterrupt] */
static int run(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
	int err;

	stop = asyncore_trigger_new(NULL, leave_loop, NULL, NULL);
	if (stop == NULL)
		return -errno;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	asyncore_trigger_free(stop);
	return err == ASYNCORE_EXIT_NOW ? 0 : err;
}

int main(int argc, char **argv)
{
	struct options options = { .setuid = true };
	struct smtp_server server = { 0 };
	int err;

	program = argv[0];
	parse_args(argc, argv, &options);
	err = classes[options.class].init(&server, classes[options.class].type, options.localhost,
					  options.localport, options.remotehost,
					  options.remoteport, options.size_limit, NULL,
					  options.enable_SMTPUTF8, false);
	if (err == 0) {
		if (smtp_debug_stream != NULL)
			fprintf(stderr, "Port: %d\n", smtp_server_port(&server));
		if (options.setuid)
			become_nobody();
		err = run();
	}
	asyncore_map_free(NULL);
	free(options.localhost);
	free(options.remotehost);
	if (err == -EINVAL && options.enable_SMTPUTF8 && options.class == 0)
		fprintf(stderr, "%s: PureProxy does not support SMTPUTF8.\n", program);
	else if (err < 0)
		fprintf(stderr, "%s: %s\n", program, strerror(-err));
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
