/* SPDX-License-Identifier: BSD-3-Clause */

/* The TLS class, under it OpenSSL: two channels, one at each end, exchange a megabyte. */

#include "expect.h"
#include <openssl.c>

enum { LENGTH = 1000000 };

static SSL_CTX *context;
static size_t heard[2];
static struct tls_chat chats[2];

static int count(struct async_chat *self, const void *data, size_t len)
{
	size_t i, *n = &heard[self == &chats[1].chat];

	for (i = 0; i < len; i++)
		expect(((const char *)data)[i] == (char)((*n)++ % 251));
	if (heard[0] == LENGTH && heard[1] == LENGTH)
		return asyncore_close(&self->dispatcher);
	return 0;
}

static int no_error(struct asyncore_dispatcher *self)
{
	expect(!asyncore_error(self)->text);
	return 0;
}

static const struct async_chat_type counting_type = {
	.dispatcher = { .base = &tls_chat_type.dispatcher, .handle_error = no_error },
	.collect_incoming_data = count,
};

static void make_context(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *certificate = X509_new();

	expect(key != NULL && certificate != NULL);
	expect(X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != NULL);
	expect(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL);
	expect(X509_set_pubkey(certificate, key) == 1);
	expect(X509_sign(certificate, key, EVP_sha256()) > 0);
	context = SSL_CTX_new(TLS_method());
	expect(context != NULL && SSL_CTX_use_certificate(context, certificate) == 1);
	expect(SSL_CTX_use_PrivateKey(context, key) == 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

int main(void)
{
	static char data[LENGTH];
	int fd[2], i;

	for (i = 0; i < LENGTH; i++)
		data[i] = (char)(i % 251);
	signal(SIGPIPE, SIG_IGN);
	make_context();
	make_pair(fd);
	for (i = 0; i < 2; i++) {
		chats[i].handshaking = chats[i].handshake_wants_write = true;
		chats[i].tls = tls_new(context, fd[i], i == 0);
		expect(chats[i].tls != NULL);
		expect(async_chat_init(&chats[i].chat, &counting_type, fd[i], NULL) == 0);
		expect(async_chat_push(&chats[i].chat, data, LENGTH) == 0);
	}
	expect(asyncore_loop(30.0, false, NULL, -1) == 0);
	expect(heard[0] == LENGTH && heard[1] == LENGTH);
	expect(asyncore_map_free(NULL) == 0);
	SSL_CTX_free(context);
	return 0;
}
